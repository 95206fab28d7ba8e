import { docker, inspect } from "../harness/docker.ts";
import { INSTANT, SLOW } from "../harness/dashboard.ts";
import { until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

test("a start goes through its phases in the log to Running with the model named, a stop to Stopped", async ({ page, dashboard }) => {
  const dash = await dashboard();
  const card = await open(page, dash.url);
  await card.shows("Stopped");

  await card.button("Start").click();
  await card.shows("Starting");
  await card.shows("Running", 45_000);
  await expect(card.value("Model")).toHaveText("lydia");
  await expect(card.value("Uptime")).toContainText(/\d/);
  await card.logShows("Application startup complete");

  // The phases, in the order in which a real vLLM prints them.
  const kept = (await dash.ask("/api/services/vllm/logs?limit=10000")).body;
  let at = -1;
  for (const mark of ["non-default args", "Starting to load model", "Loading weights took", "init engine", "Application startup complete"]) {
    const next = kept.indexOf(mark, at + 1);
    expect(next, mark).toBeGreaterThan(at);
    at = next;
  }

  await card.button("Stop").click();
  await card.shows("Stopped");
  expect((await inspect(dash.container))?.State.Running).toBe(false);
  await expect(card.value("Model")).not.toHaveText("lydia");
});

test("the container is created as the settings say, on the loopback, without a restart policy or variables of ours", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { GPU_MEMORY_UTILIZATION: "0.4" } });
  await dash.running();
  const made = await inspect(dash.container);
  const args = (made?.Config.Cmd ?? []).join(" ");
  expect(args).toContain("--served-model-name lydia");
  expect(args).toMatch(/--gpu-memory-utilization[ =]0\.4/);
  expect(made?.HostConfig.RestartPolicy.Name).toMatch(/^(no)?$/);
  const ports = Object.values(made?.HostConfig.PortBindings ?? {}).flat();
  expect(ports).toEqual([{ HostIp: "127.0.0.1", HostPort: String(dash.enginePort) }]);
  expect(made?.Config.Env.filter((one) => /^(SERVICES_|VLLM_(API_URL|MODEL|MODEL_NAME|RUNTIME|IMAGE|CONTAINER)=|GPU_MEMORY_UTILIZATION)/.test(one))).toEqual([]);
});

test("a restart opens a new run of the same container", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const before = await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  const container = (await inspect(dash.container))?.Id;

  await card.button("Restart").click();
  const after = await until("another run", 30_000, async () => {
    const now = await dash.service();
    return now.run !== before.run && now.state.state === "running" && now;
  });
  await card.shows("Running");
  expect(after.run).toBeGreaterThan(before.run ?? 0);
  expect(after.started).not.toBe(before.started);
  expect((await inspect(dash.container))?.Id).toBe(container);
});

test("a double click starts one container, once", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  await card.button("Start").dblclick();
  await card.shows("Running");
  const events = await docker(
    "events", "--since", "5m", "--until", String(Math.ceil(Date.now() / 1000) + 1), "--filter", `container=${dash.container}`, "--format", "{{.Action}}",
  );
  const actions = events.split("\n");
  expect(actions.filter((one) => one === "create")).toHaveLength(1);
  expect(actions.filter((one) => one === "start")).toHaveLength(1);
});

test("a second start while it starts or runs changes nothing", async ({ dashboard }) => {
  const dash = await dashboard();
  await Promise.all([dash.command("start"), dash.command("start"), dash.command("start")]);
  const service = await dash.state("running");
  await dash.command("start");
  expect(await dash.state("running")).toMatchObject({ run: service.run, started: service.started });
});

test("what one tab does the other tab shows", async ({ page, context, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const one = await open(page, dash.url);
  const two = await open(await context.newPage(), dash.url);
  await one.button("Start").click();
  await one.shows("Running");
  await two.shows("Running");
  await expect(two.value("Model")).toHaveText("lydia");
  await two.button("Stop").click();
  await one.shows("Stopped");
  await two.shows("Stopped");
});

test("a stop while it starts aborts the start", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: SLOW });
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Starting");
  await until("the container", 15_000, async () => (await inspect(dash.container))?.State.Running);
  await card.button("Stop").click();
  await card.shows("Stopped", 45_000);
  expect((await inspect(dash.container))?.State.Running).toBe(false);
});

test("a kill from outside is seen as Failed without a reload", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await docker("kill", dash.container);
  await card.shows("Failed", 5_000);
  expect((await dash.service()).state.failure?.kind).toBe("killed");
});

test("`docker stop` from outside is seen as Stopped, without an alarm", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await docker("stop", "-t", "20", dash.container);
  await card.shows("Stopped");
  await expect(card.article.getByRole("alert")).toBeEmpty();
});

test("`docker start` from outside is seen as Running", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.command("stop");
  await dash.state("stopped");
  const card = await open(page, dash.url);
  await card.shows("Stopped");
  await docker("start", dash.container);
  await card.shows("Running");
});

test("an end by itself is a failure, whatever its exit code", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.sim.exit(0);
  expect((await dash.state("failed")).state.failure).toMatchObject({ kind: "exited", code: 0 });
});

test("an engine that hangs is Unresponsive, and Running again afterwards", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  void dash.sim.hang(25);
  await card.shows("Unresponsive", 40_000);
  await card.shows("Running", 40_000);
});

test("a start without its image fails and says so", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: "vllm/vllm-openai:not-here" });
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Failed");
  expect((await dash.service()).state.failure?.kind).toBe("image-missing");
  await expect(card.article).toContainText("vllm/vllm-openai:not-here");
});

test("a start without a model asks for one", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { VLLM_MODEL: "" } });
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await expect(card.article).toContainText("VLLM_MODEL");
  expect(await inspect(dash.container)).toBeUndefined();
});

test("buttons that make no sense now are marked so and keep the focus", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  await card.shows("Stopped");
  await expect(card.button("Stop")).toHaveAttribute("aria-disabled", "true");
  await card.button("Start").focus();
  await page.keyboard.press("Enter");
  await card.shows("Running");
  await expect(card.button("Start")).toHaveAttribute("aria-disabled", "true");
  await expect(card.button("Start")).toBeFocused();
});
