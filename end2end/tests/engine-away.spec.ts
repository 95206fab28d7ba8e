import { engine } from "../harness/docker.ts";
import { INSTANT } from "../harness/dashboard.ts";
import { expect, open, test } from "./fixtures.ts";

// Other tests need the engine as it was: up, and plain.
test.afterEach(async () => {
  await engine(["kill-daemon", "TERM"]).catch(() => "");
  await engine(["start-daemon"]);
});

test("an engine that dies is Unreachable with a reason; with it back, the service is as it was", async ({ page, dashboard }) => {
  // With live restore, running containers outlive their engine.
  await engine(["kill-daemon", "TERM"]);
  await engine(["start-daemon"], { SERVICES_ENGINE_LIVE_RESTORE: "1" });

  const dash = await dashboard({ image: INSTANT });
  const before = await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");

  await engine(["kill-daemon"]);
  await card.shows("Unreachable", 15_000);
  const away = await dash.service();
  expect(away.state.reason?.why).toMatch(/^(no-socket|refused)$/);
  await expect(card.article).toContainText("docker.sock");
  expect((await dash.ask("/api/services/vllm/stop", { method: "POST" })).status).toBe(503);

  await engine(["start-daemon"], { SERVICES_ENGINE_LIVE_RESTORE: "1" });
  await card.shows("Running", 40_000);
  const after = await dash.service();
  expect(after).toMatchObject({ run: before.run, started: before.started, model: "lydia" });
});

test("an engine that is stopped takes its containers along: afterwards the service is Stopped and can be started", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await engine(["kill-daemon", "TERM"]);
  await card.shows("Unreachable", 15_000);
  await engine(["start-daemon"]);
  await expect(card.status).toContainText(/Stopped|Failed/, { timeout: 40_000 });
  await card.button("Start").click();
  await card.shows("Running");
});

test("an engine that is absent at start-up is Unreachable, and found when it comes", async ({ page, dashboard }) => {
  await engine(["kill-daemon", "TERM"]);
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  await card.shows("Unreachable");
  await engine(["start-daemon"]);
  await card.shows("Stopped", 40_000);
  await card.button("Start").click();
  await card.shows("Running");
});
