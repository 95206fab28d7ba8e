// A day of a dashboard's life, in short: a walk by chance through everything that happens to it, against a model of what must be
// true. FAULTS_STEPS and FAULTS_SEED make it longer or another one; a failing walk prints both.
import { readdirSync, readFileSync } from "node:fs";
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { docker } from "../harness/docker.ts";
import { sleep, until } from "../harness/net.ts";
import type { Sse } from "../harness/sse.ts";
import { expect, test } from "./fixtures.ts";

const STEPS = Number(process.env["FAULTS_STEPS"] ?? 60);
const SEED = Number(process.env["FAULTS_SEED"] ?? 1);

/** Numbers that come by chance and are the same for a seed. */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0 || 1;
  }
  roll(sides: number): number {
    this.#state ^= this.#state << 13;
    this.#state >>>= 0;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return this.#state % sides;
  }
  of<T>(list: readonly T[]): T {
    return list[this.roll(list.length)] as T;
  }
}

/** What must be true. */
interface Model {
  /** There is a container, and it runs. */
  runs: boolean;
  there: boolean;
  /** What the page must say; several where only chance decides. */
  states: string[];
  /** Lines of floods that each run was given. */
  floods: Map<number, number>;
  runsSeen: number[];
}

const fds = (dash: Dashboard) => readdirSync(`/proc/${dash.pid}/fd`).length;
const memory = (dash: Dashboard) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${dash.pid}/status`, "utf8"))?.[1]) / 1024;
const inspected = (dash: Dashboard) => docker("inspect", "-f", "{{.State.Running}}", dash.container).catch(() => "gone");
const containers = async (dash: Dashboard) => (await docker("ps", "-aq", "--filter", `name=^/${dash.container}`)).split("\n").filter((id) => id !== "");

async function settled(dash: Dashboard, model: Model) {
  // A restart from outside is seen a little later: until then it says the truth of the start before.
  const service = await until(`state ${model.states.join(" or ")}, of the start that the engine has`, 45_000, async () => {
    const now = await dash.service();
    const began = Date.parse(await docker("inspect", "-f", "{{.State.StartedAt}}", dash.container).catch(() => ""));
    return model.states.includes(now.state.state) && (!model.runs || Math.abs(Date.parse(now.started ?? "") - began) < 5) && now;
  });
  expect(await inspected(dash)).toBe(model.there ? String(model.runs) : "gone");
  expect((await containers(dash)).length, "no container besides").toBe(model.there ? 1 : 0);
  if (service.run !== null && model.runsSeen.at(-1) !== service.run) {
    expect(service.run, "runs are numbered upwards").toBeGreaterThan(model.runsSeen.at(-1) ?? 0);
    model.runsSeen.push(service.run);
  }
  return service;
}

/** Every line of a run is there, once, in order. */
async function whole(dash: Dashboard, run: number, floods: number) {
  await until(`the lines of run ${run}`, 20_000, async () => {
    const answer = await dash.ask(`/api/services/vllm/logs?run=${run}&q=flood&limit=100000`, { timeout: 20_000 });
    return answer.body.split("\n").filter((line) => line.includes("flood n=")).length >= floods;
  });
  const answer = await dash.ask(`/api/services/vllm/logs?after=${run}.0&limit=100000`, { timeout: 20_000 });
  const lines = answer.body.trim().split("\n").map((line) => JSON.parse(line) as [number, string, string, string, string, string]);
  const numbers = lines.map(([seq]) => seq);
  expect(numbers.every((seq, at) => seq === at + 1), `run ${run} is numbered without a gap`).toBe(true);
  expect(lines.filter(([, , , , , text]) => text.includes("flood n=")), `run ${run} has its lines, each once`).toHaveLength(floods);
}

type Step = (dash: Dashboard, model: Model) => Promise<boolean>;

const flood = async (dash: Dashboard, model: Model, count: number) => {
  await dash.sim.flood(count);
  const run = model.runsSeen.at(-1) ?? 0;
  model.floods.set(run, (model.floods.get(run) ?? 0) + count);
  // What was written is in the engine's log before anything ends the container.
  await until("the lines at the engine", 20_000, async () => (await docker("logs", "--tail", "3", dash.container)).includes(`flood n=${String(count).padStart(7, "0")}`) || (await docker("logs", "--tail", "5", dash.container)).includes("flood n="));
  await sleep(150);
};

/** Each does one thing that happens; false where it cannot happen now. */
const STEPS_OF_LIFE: Record<string, Step> = {
  start: async (dash, model) => {
    await dash.command("start");
    Object.assign(model, { there: true, runs: true, states: ["running"] });
    return true;
  },
  stop: async (dash, model) => {
    await dash.command("stop");
    if (model.runs) Object.assign(model, { runs: false, states: ["stopped"] });
    else model.states = ["stopped"];
    return true;
  },
  restart: async (dash, model) => {
    await dash.command("restart");
    Object.assign(model, { there: true, runs: true, states: ["running"] });
    return true;
  },
  "start and stop at once": async (dash, model) => {
    await dash.command("start");
    await dash.command("stop");
    await dash.command("start");
    await dash.command("stop");
    // A container that was never made stays unmade, where the first stop came in time.
    await dash.state("stopped");
    const found = await inspected(dash);
    expect(found).not.toBe("true");
    Object.assign(model, { there: found !== "gone", runs: false, states: ["stopped"] });
    return true;
  },
  "a kill from outside": async (dash, model) => {
    if (!model.runs) return false;
    await docker("kill", dash.container);
    Object.assign(model, { runs: false, states: ["failed", "stopped"] });
    return true;
  },
  "a stop from outside": async (dash, model) => {
    if (!model.runs) return false;
    await docker("stop", "--time", "5", dash.container);
    Object.assign(model, { runs: false, states: ["stopped"] });
    return true;
  },
  "a start from outside": async (dash, model) => {
    if (!model.there || model.runs) return false;
    await docker("start", dash.container);
    Object.assign(model, { runs: true, states: ["running"] });
    return true;
  },
  "a restart from outside": async (dash, model) => {
    if (!model.runs) return false;
    await docker("restart", "--time", "5", dash.container);
    Object.assign(model, { states: ["running"] });
    return true;
  },
  "a removal from outside": async (dash, model) => {
    if (!model.there) return false;
    await docker("rm", "-f", dash.container);
    Object.assign(model, { there: false, runs: false, states: ["stopped", "failed"] });
    return true;
  },
  "the dashboard dies": async (dash) => {
    await dash.down("SIGKILL");
    await dash.up();
    return true;
  },
  "the dashboard is restarted": async (dash) => {
    expect(await dash.down("SIGTERM")).toBe(0);
    await dash.up();
    return true;
  },
  "the dashboard dies after a command": async (dash, model) => {
    const verb = model.runs ? "stop" : "start";
    await dash.command(verb);
    await dash.down("SIGKILL");
    await dash.up();
    // Taken before it died, the wish holds.
    if (verb === "start") Object.assign(model, { there: true, runs: true, states: ["running"] });
    else Object.assign(model, { runs: false, states: ["stopped"] });
    return true;
  },
  "something happens while it is away": async (dash, model) => {
    if (!model.runs) return false;
    await dash.down("SIGKILL");
    await flood(dash, model, 300);
    await docker("stop", "--time", "5", dash.container);
    Object.assign(model, { runs: false, states: ["stopped", "failed"] });
    await dash.up();
    return true;
  },
  "a flood": async (dash, model) => {
    if (!model.runs) return false;
    await flood(dash, model, 1_000);
    return true;
  },
  "a flood while it is away": async (dash, model) => {
    if (!model.runs) return false;
    await dash.down("SIGKILL");
    await flood(dash, model, 1_000);
    await dash.up();
    return true;
  },
};

test(`a walk of ${STEPS} steps from seed ${SEED}: the state is true, no line is lost or doubled, nothing is left over`, async ({ dashboard }) => {
  test.setTimeout(60_000 + STEPS * 10_000);
  const dash = await dashboard({ image: INSTANT });
  const dice = new Dice(SEED);
  const model: Model = { runs: false, there: false, states: ["stopped"], floods: new Map(), runsSeen: [] };
  const names = Object.keys(STEPS_OF_LIFE);
  const done: string[] = [];
  let viewer: Sse | undefined;
  try {
    for (let step = 0; done.length < STEPS; step++) {
      if (step > STEPS * 20) throw new Error("too few steps were possible");
      const name = dice.of(names);
      if (!(await STEPS_OF_LIFE[name]!(dash, model))) continue;
      done.push(name);
      await settled(dash, model);
      done.push(`${done.pop()} (run ${model.runsSeen.at(-1) ?? "none"})`);
      // Somebody comes and goes.
      if (dice.roll(4) === 0) {
        await viewer?.close();
        viewer = await dash.stream();
      }
    }
    await viewer?.close();
    for (const [run, floods] of model.floods) await whole(dash, run, floods);
  } catch (error) {
    throw new Error(`seed ${SEED}, step ${done.length}: ${String(error)}\n${done.join(" → ")}`, { cause: error });
  }
});

test("starts, stops and viewers come and go, and files and memory stay as they were", async ({ dashboard }) => {
  test.setTimeout(60_000 + STEPS * 10_000);
  const dash = await dashboard({ image: INSTANT });
  const round = async () => {
    await dash.running();
    const viewers = await Promise.all(Array.from({ length: 10 }, () => dash.stream()));
    await dash.sim.flood(500);
    await sleep(200);
    await Promise.all(viewers.map((viewer) => viewer.close()));
    await dash.command("stop");
    await dash.state("stopped");
  };
  const rounds = Math.max(6, Math.round(STEPS / 6));
  for (let n = 0; n < 3; n++) await round();
  const [files, bytes] = [fds(dash), memory(dash)];
  for (let n = 0; n < rounds; n++) await round();
  await until("files are closed again", 10_000, async () => fds(dash) <= files + 5);
  // A leak of one viewer's buffers per round would show here.
  expect(memory(dash) - bytes, `${bytes.toFixed(0)} MiB before, ${memory(dash).toFixed(0)} MiB after ${rounds} rounds`).toBeLessThan(20);
});
