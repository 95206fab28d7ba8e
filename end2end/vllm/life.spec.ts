// The whole life of a real vLLM through the page: a start, its service, its ends, and the ends that nobody asked for.
import { createServer } from "node:http";
import { sleep, until } from "../harness/net.ts";
import { open } from "../tests/fixtures.ts";
import { ADAPTER, complete, expect, followStart, LENGTH, START, STOP, test, watchPhases } from "./fixtures.ts";
import { groupOnPort, members } from "./processes.ts";

/** The phases that last long enough to be seen, of a start on a CPU without compiling, and the page's words for them. */
const PHASES: Record<string, string> = {
  import: "Loading the program",
  config: "Configuring and starting the engine",
  load: "Loading weights",
  "kv-cache": "Laying out the KV cache",
  api: "Starting the API server",
};
const among = (phases: string[]) => phases.filter((phase) => phase in PHASES);

// None of these needs a Docker engine.
const tag = "@no-engine";

test("it starts phase by phase, answers, speaks through its adapter, outlives the dashboard, and stops without a rest", { tag }, async ({ page, real }) => {
  const dash = await real({ adapter: true });
  const card = await open(page, dash.url);
  await card.shows("Stopped");
  // The last: the memory plan above names its model, too.
  await expect(card.value("Model").last()).toHaveText("–");

  await test.step("start", async () => {
    const shown = await watchPhases(card);
    await card.button("Start").click();
    await card.shows("Starting");
    const seen = await followStart(dash);
    const begins = seen.phases.map(({ phase, seconds }) => `${phase} ${seconds.toFixed(1)}`).join(", ");
    console.log(`    phases began at (s): ${begins}; running after ${seen.readyAfter.toFixed(1)} s; at most ${seen.peakMib} MiB resident`);
    await card.shows("Running", START);
    expect(among(seen.phases.map(({ phase }) => phase)), "phases by the API").toEqual(Object.keys(PHASES));
    expect(among(await shown()), "phases by the page").toEqual(Object.keys(PHASES));
    await card.article.getByText(/^Started in /).click();
    const phases = card.article.getByRole("list", { name: "Phases of the start" });
    for (const name of Object.values(PHASES)) await expect(phases.getByRole("listitem").filter({ hasText: name })).toContainText("done");
  });

  await test.step("ready", async () => {
    await expect(card.value("Model")).toHaveText("lydia");
    await expect(card.value("Uptime")).not.toHaveText("–");
    await expect(card.article).toContainText(`Ready to answer at http://127.0.0.1:${dash.enginePort}`);
    await card.article.getByText("Details", { exact: true }).click();
    await expect(card.value("Served models")).toHaveText(`lydia, ${ADAPTER}`);
    await expect(card.value("Longest context")).toHaveText(`${LENGTH} tokens`);
    await card.logShows("Application startup complete.");
  });

  await test.step("answers", async () => {
    const [base, adapter] = [await complete(dash, "lydia"), await complete(dash, ADAPTER)];
    expect([base.status, adapter.status]).toEqual([200, 200]);
    expect([base.tokens.length, adapter.tokens.length]).toEqual([16, 16]);
    expect(adapter.tokens, "the adapter changes what the model writes").not.toEqual(base.tokens);
    expect((await complete(dash, "nobody")).status).toBe(404);
    await card.logShows(/POST \/v1\/completions HTTP\/1\.1" 200/);
    await card.shows("Running");
    // The engine's own count: it is asked every few seconds.
    const figures = card.article.getByRole("region", { name: "Metrics" });
    await expect(figures).toContainText("at length 2");
    await expect(figures).toContainText("0 running");
    await card.button("Test answer").click();
    await expect(card.article).toContainText("It answered: first token after");
  });

  const group = groupOnPort(dash.enginePort);
  await test.step("a restart of the dashboard", async () => {
    const before = await dash.service();
    await dash.down();
    expect((await complete(dash, "lydia")).status, "the engine does not notice").toBe(200);
    await dash.up();
    expect(await dash.service()).toMatchObject({ state: { state: "running" }, run: before.run, started: before.started, model: "lydia" });
    await card.shows("Running");
    expect(groupOnPort(dash.enginePort)).toBe(group);
  });

  await test.step("stop", async () => {
    expect(members(group).map(({ name }) => name)).toEqual(expect.arrayContaining(["VLLM::EngineCor", "VLLM::Worker"]));
    const begin = Date.now();
    await card.button("Stop").click();
    await card.shows("Stopped", STOP);
    console.log(`    stopped after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
    // A traceback that vLLM prints at its own end is no alarm.
    expect((await dash.service()).state).not.toHaveProperty("failure");
    await expect(card.value("Model").last()).toHaveText("–");
    await until("the end of all its processes", 10_000, async () => members(group).length === 0);
  });
});

test("a killed engine core is a failure although vLLM exits with 0; the next start can be stopped while it loads", { tag }, async ({ page, real }) => {
  const dash = await real();
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Running", START);
  const group = groupOnPort(dash.enginePort);

  await test.step("crash", async () => {
    const core = members(group).find(({ name }) => name.startsWith("VLLM::EngineCor"));
    process.kill(core?.pid ?? 0, "SIGKILL");
    await card.shows("Failed");
    expect((await dash.service()).state.failure).toMatchObject({ kind: "exited", code: 0, was_ready: true });
    await expect(card.article).toContainText("after it had been ready");
    await expect(card.article).toContainText("vLLM's engine process died");
    expect((await dash.service()).state.failure?.diagnosis?.cause).toBe("engine-died");
    await until("the end of all its processes", 15_000, async () => members(group).length === 0);
    await expect(card.value("Model").last()).toHaveText("–");
  });

  await test.step("start again, stop while it loads", async () => {
    await card.button("Start").click();
    await expect(card.article.getByText("“Usually” is what the last start took here.")).toBeVisible();
    // The engine core exists: from here on vLLM swallows the first SIGTERM.
    await card.logShows("Initializing a V1 LLM engine", START);
    const next = groupOnPort(dash.enginePort);
    const begin = Date.now();
    await card.button("Stop").click();
    await card.shows("Stopping");
    await card.shows("Stopped", STOP);
    console.log(`    stopped while loading after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
    await until("the end of all its processes", 10_000, async () => members(next).length === 0);
  });
});

test("a length that the model does not have is explained, and the way out that is offered works", { tag }, async ({ page, real }) => {
  const dash = await real({ args: ["--max-model-len", "4096"] });
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Failed", START);
  const { failure } = (await dash.service()).state;
  expect(failure).toMatchObject({ kind: "exited", code: 1, was_ready: false });
  expect(failure?.diagnosis).toMatchObject({ cause: "max-length-too-large", facts: { asked_tokens: 4096, possible_tokens: LENGTH } });
  await expect(card.article).toContainText(`The model takes at most ${LENGTH} tokens; 4,096 were asked for.`);
  const evidence = card.article.getByRole("group", { name: "The lines that show it" });
  await expect(evidence).toContainText("User-specified max_model_len (4096) is greater than the derived max_model_len");
  await card.button(`Set --max-model-len to ${LENGTH} and start`).click();
  await card.shows("Running", START);
  expect((await dash.service()) as object).toMatchObject({ max_model_len: LENGTH });
  expect(await dash.toml()).not.toContain("4096");
  expect((await complete(dash, "lydia")).status).toBe(200);
});

test("a busy port is named before anything is started, and Start works once it is free", { tag }, async ({ page, real }) => {
  const dash = await real();
  const squatter = createServer((_, answer) => answer.writeHead(404).end()).listen(dash.enginePort, "127.0.0.1");
  try {
    const card = await open(page, dash.url);
    await card.button("Start").click();
    await card.shows("Failed");
    expect((await dash.service()).state.failure).toMatchObject({ kind: "port-in-use", port: dash.enginePort });
    await expect(card.article).toContainText(`Port ${dash.enginePort} is taken by`);
    await sleep(1_000);
    expect(groupOnPort(dash.enginePort), "nothing was started").toBeUndefined();
    await new Promise((done) => squatter.close(done).closeAllConnections());
    await card.button("Start").click();
    await card.shows("Starting");
    await until("its process", 10_000, async () => groupOnPort(dash.enginePort) !== undefined);
    await card.button("Stop").click();
    await card.shows("Stopped", STOP);
  } finally {
    squatter.close().closeAllConnections();
  }
});
