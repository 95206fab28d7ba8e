// The same service without an engine: a command on the PATH under the shim, and the demo.
import { readFileSync, readdirSync } from "node:fs";
import { sleep, until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

/** Processes whose command line has all of these words. */
function running(...words: string[]): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return words.every((word) => line.includes(word));
    } catch {
      return false;
    }
  });
}

/** The living processes of one group, which is named after a member; `among` these, once that member is dead. */
function groupOf(pid: number, among?: number[]): number[] {
  const group = (one: number) => {
    try {
      // Behind the name, which may hold anything: state, parent, group.
      const [state, , id] = readFileSync(`/proc/${one}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
      return state === "Z" ? undefined : id;
    } catch {
      return undefined;
    }
  };
  if (among) return among.filter((one) => group(one) !== undefined);
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((one) => group(one) === group(pid));
}

test("a command on the PATH starts, serves, and stops with all its processes", async ({ page, process }) => {
  const dash = await process();
  const card = await open(page, dash.url);
  await card.shows("Stopped");
  await card.button("Start").click();
  await card.shows("Running");
  await expect(card.value("Model")).toHaveText("lydia");
  expect((await dash.service()) as object).toMatchObject({ runtime: "process", demo: false });
  await dash.sim.write("stdout", "over the shim\n");
  await card.logShows("over the shim");
  await card.button("Stop").click();
  await card.shows("Stopped");
  expect(running("vllm-sim", `--port ${dash.enginePort}`)).toEqual([]);
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`a command outlives a dashboard ended by ${signal}, its log without a gap or a double`, async ({ process }) => {
    const dash = await process();
    const before = await dash.running();
    await dash.sim.flood(300);
    const stream = await dash.stream();
    await stream.until("the first flood", 20_000, () => stream.last.includes("flood n=000300") || undefined);
    stream.close();
    await sleep(1_000);
    await dash.down(signal);
    await dash.sim.flood(300);
    await dash.up();
    expect(await dash.service()).toMatchObject({ state: { state: "running" }, run: before.run, started: before.started, model: "lydia" });
    const again = await dash.stream(`?logs=vllm&after=${before.run}.0`);
    await again.until("both floods", 20_000, () => again.lines().filter(({ line }) => line[5].includes("flood n=")).length >= 600 || undefined);
    await sleep(300);
    const lines = again.lines().map(({ line }) => line);
    expect(lines.map((line) => line[0])).toEqual(Array.from({ length: lines.length }, (_, n) => n + 1));
    expect(lines.filter((line) => line[5].includes("flood n=")).length).toBe(600);
    again.close();
  });
}

test("an end while nobody watched keeps its exit status", async ({ process }) => {
  const dash = await process();
  await dash.running();
  await dash.down("SIGKILL");
  await dash.sim.exit(7);
  await until("its end", 10_000, async () => running("vllm-sim", `--port ${dash.enginePort}`).length === 0);
  await dash.up();
  expect(JSON.stringify((await dash.service()).state)).toContain("7");
});

test("what a dead main process leaves of its group is ended", async ({ page, process }) => {
  const dash = await process();
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  const [main] = running("vllm-sim", `--port ${dash.enginePort}`);
  const group = groupOf(main ?? 0);
  expect(group.length, "EngineCore and Worker beside it").toBeGreaterThan(2);
  globalThis.process.kill(main ?? 0, "SIGKILL");
  await card.shows("Failed");
  await until("the group to be gone", 20_000, async () => groupOf(main ?? 0, group).length === 0);
});

test("no command on the PATH is a failure that names it", async ({ page, dashboard }) => {
  const dash = await dashboard({ env: { VLLM_RUNTIME: "process", PATH: "/usr/bin:/bin" } });
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Failed");
  expect((await dash.service()).state.failure?.kind).toBe("command-missing");
});

test("the demo is labelled, lives, and ends with the dashboard", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const dash = await dashboard({ env: { VLLM_RUNTIME: "demo" } });
  const card = await open(page, dash.url);
  await expect(card.article).toContainText("Demo");
  if ((await dash.service()).state.state === "stopped") await card.button("Start").click();
  await card.shows("Running", 60_000);
  expect((await dash.service()) as object).toMatchObject({ demo: true, runtime: "demo" });
  await dash.down();
  await until("its end", 10_000, async () => running("server", "vllm-sim", String(dash.enginePort)).length === 0);
});
