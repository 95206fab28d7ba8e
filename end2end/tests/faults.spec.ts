// A day of a dashboard's life, in short: walks by chance through everything that happens to it, against a model of what must be
// true. FAULTS_STEPS and FAULTS_SEED make them longer or others; a failing walk prints both.
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { docker, unique } from "../harness/docker.ts";
import { Clock, CLOCK_LIBRARY, fill, goOn, hang, holdStore } from "../harness/faults.ts";
import { sleep, until } from "../harness/net.ts";
import type { Sse } from "../harness/sse.ts";
import { expect, test } from "./fixtures.ts";

const STEPS = Number(process.env["FAULTS_STEPS"] ?? 50);
/** Steps of the walk in which the dashboard never ends. */
const LIFE = Number(process.env["FAULTS_STEPS"] ?? 32);
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
  /** Lines of floods that each start was given, by the engine's time of that start. */
  floods: Map<string, number>;
  runsSeen: number[];
  dice: Dice;
  /** What the dashboard takes for the time, where that can be changed. */
  clock: Clock | undefined;
}

const fds = (dash: Dashboard) => readdirSync(`/proc/${dash.pid}/fd`).length;
const memory = (dash: Dashboard) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${dash.pid}/status`, "utf8"))?.[1]) / 1024;
/** When the container was started last, as the engine has it; nothing where there is none. It tells the starts apart. */
const began = (dash: Dashboard) => docker("inspect", "-f", "{{.State.StartedAt}}", dash.container).catch(() => "");
const inspected = (dash: Dashboard) => docker("inspect", "-f", "{{.State.Running}}", dash.container).catch(() => "gone");
const containers = async (dash: Dashboard) => (await docker("ps", "-aq", "--filter", `name=^/${dash.container}`)).split("\n").filter((id) => id !== "");

async function settled(dash: Dashboard, model: Model) {
  // A restart from outside is seen a little later: until then it says the truth of the start before.
  const service = await until(`state ${model.states.join(" or ")}, of the start that the engine has`, 45_000, async () => {
    const now = await dash.service();
    const start = Date.parse(await began(dash));
    return model.states.includes(now.state.state) && (!model.runs || Math.abs(Date.parse(now.started ?? "") - start) < 5) && now;
  });
  expect(await inspected(dash)).toBe(model.there ? String(model.runs) : "gone");
  expect((await containers(dash)).length, "no container besides").toBe(model.there ? 1 : 0);
  if (service.run !== null && model.runsSeen.at(-1) !== service.run) {
    expect(service.run, "runs are numbered upwards").toBeGreaterThan(model.runsSeen.at(-1) ?? 0);
    model.runsSeen.push(service.run);
  }
  return service;
}

/** Every line of a start is there, once, in order, in the run of that start. */
async function whole(dash: Dashboard, start: string, floods: number) {
  const run = await until(`the run of the start at ${start}`, 20_000, () => dash.runOf(start));
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
  // The engine knows which start wrote them. The dashboard may be away, or still name the run before: what is left to be read of
  // that one comes first. And what was written is in the engine's log before anything ends the container.
  const [start, lines] = await until("the lines at the engine", 20_000, async () => {
    const start = await began(dash);
    const lines = (model.floods.get(start) ?? 0) + count;
    const log = await docker("logs", "--since", start, dash.container);
    return log.split("flood n=").length - 1 === lines && ([start, lines] as const);
  });
  model.floods.set(start, lines);
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
    const before = await began(dash);
    await dash.command("restart");
    // It is taken, not done: the start before, which is about to end, still runs, and would pass for the new one.
    await until("another start", 45_000, async () => ![before, ""].includes(await began(dash)));
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

/** What happens around a dashboard that lives. */
const FAULTS_OF_OTHERS: Record<string, Step> = {
  "the engine hangs for a while": async (dash, model) => {
    // Mostly too short to be noticed, now and then so long that it is.
    const noticed = model.dice.roll(6) === 0;
    hang();
    try {
      if (noticed) await dash.state("unreachable");
      else await sleep(200 + model.dice.roll(3_000));
    } finally {
      goOn();
    }
    return true;
  },
  "the engine hangs amid a command": async (dash, model) => {
    const verb = model.runs ? "stop" : "start";
    const taken = dash.command(verb);
    await sleep(model.dice.roll(60));
    hang();
    await taken.finally(() => sleep(model.dice.roll(4_000)).then(goOn));
    if (verb === "start") Object.assign(model, { there: true, runs: true, states: ["running"] });
    else Object.assign(model, { runs: false, states: ["stopped"] });
    return true;
  },
  "a new name and the old one again, from outside": async (dash, model) => {
    if (!model.there) return false;
    const aside = dash.owns(unique("aside"));
    await docker("rename", dash.container, aside);
    await sleep(model.dice.roll(800));
    await docker("rename", aside, dash.container);
    return true;
  },
  "the kernel ends it for its memory": async (dash, model) => {
    if (!model.runs) return false;
    await dash.sim.healthy();
    await docker("update", "--memory", "40m", "--memory-swap", "40m", dash.container);
    const requests = fill(dash.enginePort, 100);
    try {
      await until("its end", 30_000, async () => (await inspected(dash)) === "false");
    } finally {
      for (const request of requests) request.destroy();
    }
    await docker("update", "--memory", "4g", "--memory-swap", "4g", dash.container);
    Object.assign(model, { runs: false, states: ["failed"] });
    return true;
  },
  "somebody holds the store": async (dash, model) => {
    const letGo = await holdStore(dash);
    try {
      const verb = model.runs ? "stop" : "start";
      await dash.command(verb);
      await dash.state(verb === "start" ? "running" : "stopped");
      if (verb === "start") Object.assign(model, { there: true, runs: true, states: ["running"] });
      else Object.assign(model, { runs: false, states: ["stopped"] });
    } finally {
      await letGo();
    }
    await until("everything to be written", 20_000, async () => {
      if ((await dash.ask("/readyz")).status !== 200) return false;
      return !model.runs || (await dash.service()).run !== null;
    });
    return true;
  },
  "the clock jumps": async (_, model) => {
    if (!model.clock) return false;
    model.clock.jump((model.dice.roll(20) - 10) * 1_800);
    return true;
  },
};

/** A walk: `happens` are the steps that chance takes from, `each` is told how many were done. */
async function walk(dash: Dashboard, steps: number, happens: Record<string, Step>, clock: Clock | undefined, each: (done: number) => void = () => undefined) {
  const dice = new Dice(SEED);
  const model: Model = { runs: false, there: false, states: ["stopped"], floods: new Map(), runsSeen: [], dice, clock };
  const names = Object.keys(happens);
  const done: string[] = [];
  let viewer: Sse | undefined;
  let name = "";
  try {
    for (let tries = 0; done.length < steps; tries++) {
      if (tries > steps * 20) throw new Error("too few steps were possible");
      name = dice.of(names);
      if (!(await happens[name]!(dash, model))) continue;
      const service = await settled(dash, model);
      expect(service.uptime_s ?? 0, "no time runs backwards").toBeGreaterThanOrEqual(0);
      done.push(`${name} (run ${model.runsSeen.at(-1) ?? "none"})`);
      each(done.length);
      // Somebody comes and goes.
      if (dice.roll(4) === 0) {
        viewer?.close();
        viewer = await dash.stream();
      }
    }
    viewer?.close();
    for (const [start, floods] of model.floods) await whole(dash, start, floods);
    expect((await dash.ask("/readyz")).status).toBe(200);
  } catch (error) {
    throw new Error(`seed ${SEED}, step ${done.length}: ${name}: ${String(error)}\n${done.slice(-40).join(" → ")}`, { cause: error });
  } finally {
    goOn();
  }
}

/** A clock that can be set, where the machine has the library for it. */
const clockOf = () => (CLOCK_LIBRARY !== "" ? new Clock(join(tmpdir(), unique("services-clock"))) : undefined);

test.afterEach(() => goOn());

test(`a walk of ${STEPS} steps from seed ${SEED}: the state is true, no line is lost or doubled, nothing is left over`, async ({ dashboard }) => {
  test.setTimeout(60_000 + STEPS * 15_000);
  const clock = clockOf();
  try {
    const dash = await dashboard({ image: INSTANT, env: clock?.env ?? {} });
    await walk(dash, STEPS, { ...STEPS_OF_LIFE, ...FAULTS_OF_OTHERS }, clock);
  } finally {
    clock?.remove();
  }
});

test(`a life of ${LIFE} steps from seed ${SEED} without an end: files and memory stay as they were`, async ({ dashboard }) => {
  test.setTimeout(60_000 + LIFE * 15_000);
  const lives = Object.entries(STEPS_OF_LIFE).filter(([name]) => !/dashboard|away/.test(name));
  const clock = clockOf();
  try {
    const dash = await dashboard({ image: INSTANT, env: clock?.env ?? {} });
    const pid = dash.pid;
    const marks: { steps: number; files: number; mib: number }[] = [];
    const mark = (steps: number) => marks.push({ steps, files: fds(dash), mib: Math.round(memory(dash) * 10) / 10 });
    mark(0);
    const quarter = Math.max(1, Math.floor(LIFE / 4));
    await walk(dash, LIFE, { ...Object.fromEntries(lives), ...FAULTS_OF_OTHERS }, clock, (done) => done % quarter === 0 && mark(done));
    expect(dash.pid, "one dashboard all along").toBe(pid);
    await dash.command("stop");
    await dash.state("stopped");
    await sleep(2_000);
    mark(LIFE);
    console.log(`steps, open files, MiB resident: ${marks.map(({ steps, files, mib }) => `${steps}: ${files}, ${mib}`).join(" · ")}`);
    // By the first quarter every kind of step was taken, and what is kept has its size. From then on: no more than the ring of a
    // log may still fill, and no file more than a viewer and the engine's connections take.
    const [first, last] = [marks[1], marks.at(-1)];
    if (!first || !last) throw new Error("no marks");
    expect(last.files, JSON.stringify(marks)).toBeLessThanOrEqual(Math.max(...marks.slice(0, 2).map(({ files }) => files)) + 8);
    expect(last.mib - first.mib, JSON.stringify(marks)).toBeLessThan(20);
  } finally {
    clock?.remove();
  }
});
