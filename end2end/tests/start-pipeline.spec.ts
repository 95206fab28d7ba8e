// A start that tells the truth: its phases with their times, what is usual, what is left, and silence.
import { INSTANT, SLOW } from "../harness/dashboard.ts";
import { until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

test("a slow start shows its phases as they come, and keeps them when it runs", async ({ page, dashboard }) => {
  const dash = await dashboard();
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Starting");
  const phases = card.article.getByRole("list", { name: "Phases of the start" });
  await expect(phases.locator('[aria-current="step"]')).toHaveCount(1);
  await expect(phases.getByRole("listitem").filter({ hasText: "Loading weights" })).toBeVisible({ timeout: 30_000 });
  await card.shows("Running", 45_000);

  const start = (await dash.service()).start!;
  const seen = start.phases.map((one) => one.phase);
  const order = ["create", "import", "config", "load", "compile", "kv-cache", "graphs", "api", "ready"];
  expect(seen).toEqual(order.filter((one) => seen.includes(one)));
  expect(seen).toEqual(expect.arrayContaining(["create", "import", "config", "load", "kv-cache", "api"]));
  expect(start.phases.every((one) => one.took_ms !== null)).toBe(true);
  await card.article.getByText(/^Started in /).click();
  await expect(phases.getByRole("listitem")).toHaveCount(seen.length);
});

test("the second start knows what is usual, what is still to come and about how much is left", async ({ page, dashboard }) => {
  const dash = await dashboard();
  await dash.running();
  await dash.command("stop");
  await dash.state("stopped");
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Starting");
  const phases = card.article.getByRole("list", { name: "Phases of the start" });
  await expect(phases).toContainText("usually");
  await expect(phases.locator(".coming").first()).toBeVisible();
  await expect(card.article).toContainText(/left|longer than usual/);
  await expect(card.article).toContainText("the last start");
  await card.shows("Running", 45_000);
  expect((await dash.service()).start).toMatchObject({ learned_from: 1 });
});

test("phases and usual times survive a restart of the dashboard in the middle of a start", async ({ page, dashboard }) => {
  const dash = await dashboard();
  await dash.command("start");
  await until("the weights", 30_000, async () => (await dash.service()).start?.phases.some((one) => one.phase === "load"));
  await dash.down("SIGKILL");
  await dash.up();
  const card = await open(page, dash.url);
  await card.shows("Running", 45_000);
  const seen = (await dash.service()).start!.phases.map((one) => one.phase);
  expect(seen).toEqual(expect.arrayContaining(["import", "config", "load", "kv-cache"]));
});

test("a start that says nothing is called silent, with its last words, and goes on", async ({ page, dashboard }) => {
  const dash = await dashboard({
    image: INSTANT,
    env: { VLLM_START_SILENCE_S: "2" },
    toml: '[[service]]\nname = "vllm"\nargs = ["--sim-fail", "hang"]\n',
  });
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await expect(card.article).toContainText("It has said nothing for", { timeout: 20_000 });
  await card.shows("Starting");
  expect((await dash.service()).start?.silence).toBeTruthy();
  await card.button("Stop").click();
  await card.shows("Stopped", 45_000);
});

test("a start that is stopped is no failure and teaches nothing", async ({ dashboard }) => {
  const dash = await dashboard({ image: SLOW });
  await dash.command("start");
  await dash.state("starting");
  await dash.command("stop");
  await dash.state("stopped");
  await dash.command("start");
  await dash.state("starting");
  expect((await dash.service()).start).toMatchObject({ learned_from: 0, usual: [] });
});
