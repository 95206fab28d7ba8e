// An engine that is there and answers nothing, and one that is killed without a word: the page says so in time, nothing is lost,
// and everything goes on by itself.
import { INSTANT, SLOW } from "../harness/dashboard.ts";
import { docker, engine } from "../harness/docker.ts";
import { goOn, hang } from "../harness/faults.ts";
import { sleep, until } from "../harness/net.ts";
import { MB, Registry, simulatedVllm } from "../harness/registry.ts";
import { expect, open, test } from "./fixtures.ts";

const LONG = Number(process.env["FAULTS_STEPS"] ?? 0) >= 100;
/** A ping each ten seconds, which may take five; and a slow machine. */
const SAID = 25_000;

test.afterEach(() => goOn());

const ours = async (container: string) => (await docker("ps", "-aq", "--filter", `name=^/${container}`)).split("\n").filter((id) => id !== "");

test("an engine that hangs is Unreachable within its limit, the page stays usable, and no line is lost or doubled", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  const before = await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  hang();
  await dash.sim.flood(200);
  await card.shows("Unreachable", SAID);
  const away = await dash.service();
  expect(away.state.reason?.why).toBe("timeout");
  expect((await dash.ask("/api/services/vllm/stop", { method: "POST" })).status).toBe(503);
  // Looking waits for nothing.
  const begun = Date.now();
  expect((await dash.ask("/")).status).toBe(200);
  expect((await dash.ask("/api/services/vllm/logs?limit=10")).status).toBe(200);
  expect(Date.now() - begun).toBeLessThan(3_000);

  goOn();
  await card.shows("Running", 30_000);
  expect(await dash.service()).toMatchObject({ run: before.run, started: before.started });
  const flood = async () => (await dash.ask(`/api/services/vllm/logs?run=${before.run}&q=flood&limit=10000`)).body.split("\n").filter((line) => line.includes("flood n="));
  await until("the lines of meanwhile", 20_000, async () => (await flood()).length >= 200);
  await sleep(500);
  expect(await flood()).toHaveLength(200);
});

test("an engine that hangs amid a start: the start is made when it goes on, once", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: SLOW });
  const card = await open(page, dash.url);
  await card.shows("Stopped");
  const command = dash.command("start");
  hang();
  await command;
  await card.shows("Unreachable", 40_000);
  goOn();
  await card.shows("Starting", 40_000);
  await dash.state("starting", "running");
  expect(await ours(dash.container)).toHaveLength(1);
  await dash.command("stop");
  await card.shows("Stopped", 40_000);
});

test("an engine that hangs amid a stop: the stop is carried through when it goes on", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const command = dash.command("stop");
  hang();
  await command;
  await card.shows("Unreachable", 40_000);
  goOn();
  await card.shows("Stopped", 60_000);
  expect(await docker("inspect", "-f", "{{.State.Running}}", dash.container)).toBe("false");
  await dash.running();
});

test("an engine that hangs amid a pull: the pull goes on or says what became of it, and can be made again", async ({ page, dashboard }) => {
  test.skip(!LONG, "make test-faults");
  test.slow();
  const registry = await Registry.start();
  try {
    const wanted = simulatedVllm({ seed: "hung", layers: [20 * MB, 20 * MB] });
    const dash = await dashboard({ image: registry.put("vllm/vllm-openai:latest", wanted) });
    registry.bytesPerSecond = 4 * MB;
    const card = await open(page, dash.url);
    await card.button("Pull image").click();
    await expect(card.article.getByRole("progressbar", { name: "Pull", exact: true })).toBeVisible();
    hang();
    await card.shows("Unreachable", SAID);
    goOn();
    registry.calm();
    await card.shows("Stopped", 40_000);
    const has = () => docker("image", "inspect", "-f", "{{.Id}}", wanted.id).then(() => true, () => false);
    await expect(card.button("Pull image")).toBeEnabled({ timeout: 40_000 });
    if (!(await has())) await card.button("Pull image").click();
    await until("the image", 40_000, has);
    await docker("rmi", "-f", wanted.id).catch(() => "");
  } finally {
    await registry.down();
  }
});

test("an engine that is killed and keeps nothing alive: what it ended is told, and can be started", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  const before = await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await engine(["kill-daemon"]);
  try {
    await card.shows("Unreachable", 15_000);
  } finally {
    await engine(["start-daemon"]);
  }
  const after = await dash.state("stopped", "failed");
  expect(await docker("inspect", "-f", "{{.State.Running}}", dash.container)).toBe("false");
  expect(after.run).toBe(before.run);
  const next = await dash.running();
  expect(next.run).toBeGreaterThan(before.run ?? 0);
  await card.shows("Running");
});
