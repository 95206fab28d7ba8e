// The dashboard is killed at every step of a start, a stop and a pull. The next one finishes what was asked for: the state is true,
// nothing is lost, nothing is there twice, nothing is left over.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { docker } from "../harness/docker.ts";
import { sleep, until } from "../harness/net.ts";
import { MB, Registry, simulatedVllm } from "../harness/registry.ts";
import { expect, open, test } from "./fixtures.ts";

const LONG = Number(process.env["FAULTS_STEPS"] ?? 0) >= 100;
/** From before the command is read to long after all is done, in milliseconds. */
const MOMENTS = LONG ? [0, 5, 10, 20, 40, 60, 80, 120, 160, 240, 320, 480, 640, 900, 1_300, 2_000, 3_000] : [0, 15, 60, 180, 450, 1_100];

const running = (dash: Dashboard) => docker("inspect", "-f", "{{.State.Running}}", dash.container).catch(() => "gone");

/** One container at most, no second one set aside, and no file of an attempt. */
async function nothingLeft(dash: Dashboard) {
  const names = (await docker("ps", "-a", "--format", "{{.Names}}")).split("\n").filter((name) => name.includes(dash.container));
  expect(names.length, names.join()).toBeLessThanOrEqual(1);
  const files = await readdir(join(dash.folder, "state"));
  expect(files.filter((name) => /\.new$|\.tmp$|restoring|-journal$/.test(name))).toEqual([]);
}

/** The kill comes `ms` behind the command; the command itself may be cut off, too. */
async function killedBehind(dash: Dashboard, verb: "start" | "stop", ms: number): Promise<boolean> {
  const taken = dash.command(verb).then(() => true, () => false);
  await sleep(ms);
  await dash.down("SIGKILL");
  return taken;
}

test("killed at every step of a start and of a stop: what was asked for is done by the next, once", async ({ dashboard }) => {
  test.setTimeout(60_000 + MOMENTS.length * 40_000);
  const dash = await dashboard({ image: INSTANT });
  let last = 0;
  for (const ms of MOMENTS) {
    const started = await killedBehind(dash, "start", ms);
    await dash.up();
    // What nobody was told was taken may be done or not; done by halves it is not.
    if (!started && (await dash.service()).wish === "stopped") await dash.command("start");
    const service = await until(`running, ${ms} ms behind the start`, 45_000, async () => {
      const now = await dash.service();
      // What was still to be read of the run before comes first.
      return now.state.state === "running" && (now.run ?? 0) > last && now;
    });
    expect(await running(dash)).toBe("true");
    expect(service.run, "a start has one run").toBe(last + 1);
    last = service.run ?? 0;
    await nothingLeft(dash);

    const stopped = await killedBehind(dash, "stop", ms);
    await dash.up();
    if (!stopped && (await dash.service()).state.state === "running") await dash.command("stop");
    await until(`stopped, ${ms} ms behind the stop`, 45_000, async () => (await dash.service()).state.state === "stopped");
    expect(await running(dash)).toBe("false");
    expect((await dash.service()).run).toBe(last);
    await nothingLeft(dash);
    const text = (await dash.ask(`/api/services/vllm/logs?after=${last}.0&limit=100000`)).body.trim();
    const numbers = text.split("\n").map((line) => (JSON.parse(line) as [number])[0]);
    expect(numbers, "its lines are there once").toEqual(numbers.map((_, at) => at + 1));
  }
});

test("killed behind a move to another image: the next one moves, once", async ({ dashboard }) => {
  test.setTimeout(180_000);
  const reference = `vllm/vllm-openai:moved-${Date.now()}`;
  const id = (image: string) => docker("image", "inspect", "-f", "{{.Id}}", image);
  await docker("tag", INSTANT, reference);
  try {
    const dash = await dashboard({ image: reference });
    await dash.running();
    const move = () => dash.ask("/api/fn/image", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" }, body: "service=vllm&action=renew&confirmed=true" });
    for (const [ms, next] of [[10, "vllm/vllm-openai:latest"], [120, INSTANT], [700, "vllm/vllm-openai:latest"]] as const) {
      await docker("tag", next, reference);
      // It is taken as soon as the dashboard has heard of the image.
      await until("the move to be taken", 20_000, async () => (await move()).status === 200);
      await sleep(ms);
      await dash.down("SIGKILL");
      await dash.up();
      const wanted = await id(next);
      await until(`the other image, ${ms} ms behind the move`, 60_000, async () => (await docker("inspect", "-f", "{{.Image}} {{.State.Running}}", dash.container).catch(() => "")) === `${wanted} true`);
      await until("running", 60_000, async () => (await dash.service()).state.state === "running");
      await nothingLeft(dash);
    }
  } finally {
    await docker("rmi", "-f", reference).catch(() => "");
  }
});

test("killed at the beginning and at the end of a pull: it is said, and can be made again", async ({ page, dashboard }) => {
  test.setTimeout(180_000);
  const registry = await Registry.start();
  const made: string[] = [];
  try {
    for (const when of ["at its beginning", "in the middle", "at its end"] as const) {
      if (when === "in the middle" && !LONG) continue;
      const wanted = simulatedVllm({ seed: `killed ${when}`, layers: [8 * MB, 8 * MB] });
      made.push(wanted.id);
      const dash = await dashboard({ image: registry.put("vllm/vllm-openai:latest", wanted) });
      registry.bytesPerSecond = when === "at its end" ? 40 * MB : 2 * MB;
      const card = await open(page, dash.url);
      await card.button("Pull image").click();
      if (when === "at its beginning") await until("the first request", 20_000, async () => registry.sending > 0);
      if (when === "in the middle") await sleep(3_000);
      // All was sent, and the engine unpacks it.
      if (when === "at its end") await until("all to be sent", 20_000, async () => wanted.layers.every((layer) => registry.trafficOf(layer).requests > 0) && registry.sending === 0);
      await dash.down("SIGKILL");
      registry.calm();
      await until("the engine to let go", 20_000, async () => registry.sending === 0);
      await dash.up();
      const has = () => docker("image", "inspect", "-f", "{{.Id}}", wanted.id).then((id) => id === wanted.id, () => false);
      await expect(card.button("Pull image")).toBeEnabled({ timeout: 40_000 });
      if (!(await has())) await expect(card.article).toContainText("interrupted", { timeout: 40_000 });
      await card.button("Pull image").click();
      await until(`the image, killed ${when}`, 40_000, has);
      await expect(card.article).toContainText("Pulled", { timeout: 40_000 });
      await dash.down();
    }
  } finally {
    await registry.down();
    for (const id of made) await docker("rmi", "-f", id).catch(() => "");
  }
});
