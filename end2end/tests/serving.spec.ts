// While it serves: what it counts, what it answers, and what a stop would interrupt.
import { INSTANT } from "../harness/dashboard.ts";
import { ask, until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";
import type { Dashboard } from "../harness/dashboard.ts";

/** A completion that takes its time; the answer is not waited for. */
function busy(dash: Dashboard, tokens: number) {
  const body = JSON.stringify({ model: "lydia", prompt: "x", max_tokens: tokens });
  return ask(`${dash.sim.url}/v1/completions`, { method: "POST", body, headers: { "content-type": "application/json" }, timeout: 120_000 }).catch(() => undefined);
}

test("metrics are shown as figures and charts, and what is not reported is not zero", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const metrics = card.article.getByRole("region", { name: "Metrics" });
  await expect(metrics).toBeVisible({ timeout: 15_000 });
  await expect(metrics.getByRole("img", { name: /^Requests: 0 running/ })).toBeVisible();
  void busy(dash, 2000);
  await expect(card.value("Requests")).toHaveText("1 running", { timeout: 15_000 });
  await expect(metrics.getByRole("img", { name: /^Generation: .*tokens\/s/ })).toBeVisible({ timeout: 20_000 });
  await expect(metrics.locator("path.line").first()).toHaveAttribute("d", /^M/);
  await page.reload();
  await expect(metrics.locator("path.line").first()).toHaveAttribute("d", /^M/);
});

test("a stop while requests run asks first, names how many, and does it when confirmed", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  void busy(dash, 3000);
  void busy(dash, 3000);
  await expect(card.value("Requests")).toHaveText("2 running", { timeout: 15_000 });

  await card.button("Stop").click();
  const alert = card.article.getByRole("alert");
  await expect(alert).toContainText("2 requests are running");
  await card.shows("Running");
  await alert.getByRole("button", { name: "Cancel" }).click();
  await expect(alert).toBeEmpty();
  expect((await dash.service()).state.state).toBe("running");

  await card.button("Stop").click();
  await alert.getByRole("button", { name: "Stop anyway" }).click();
  await card.shows("Stopped", 45_000);
  await expect(alert).toBeEmpty();
});

test("without JavaScript a stop while requests run asks on the next page", async ({ browser, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  void busy(dash, 3000);
  await until("the request", 10_000, async () => /num_requests_running\{[^}]*\} 1/.test((await ask(`${dash.sim.url}/metrics`)).body));
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(dash.url);
  await page.getByRole("article", { name: "vLLM" }).getByRole("button", { name: "Stop", exact: true }).click();
  await expect(page.getByRole("alert").first()).toContainText("1 request is running");
  await page.getByRole("button", { name: "Stop anyway" }).click();
  await dash.state("stopped");
  await context.close();
});

test("a script's stop is done without a question", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  void busy(dash, 3000);
  await until("the request", 10_000, async () => /num_requests_running\{[^}]*\} 1/.test((await ask(`${dash.sim.url}/metrics`)).body));
  await dash.command("stop");
  await dash.state("stopped");
});

test("the smoke test answers with the time to the first token and the rate", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.button("Test answer").click();
  await expect(card.article).toContainText(/It answered: first token after .*24 tokens/, { timeout: 15_000 });
  expect(await dash.service()).toMatchObject({ smoke: { smoke: "passed", tokens: 24 } });
});

test("the smoke test after each start, where it is wanted", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { VLLM_SMOKE_TEST: "true" } });
  await dash.running();
  await until("the answer", 15_000, async () => {
    const service = (await dash.service()) as unknown as { smoke: { smoke: string } | null };
    return service.smoke?.smoke === "passed";
  });
});

test("an engine that refuses fails the smoke test in its own words", async ({ page, dashboard }) => {
  // A key that the dashboard was not told.
  const dash = await dashboard({ image: INSTANT, toml: '[[service]]\nname = "vllm"\nargs = ["--api-key", "sk-other"]\n' });
  await dash.running();
  const card = await open(page, dash.url);
  await card.button("Test answer").click();
  await expect(card.article).toContainText("It did not answer: HTTP 401", { timeout: 20_000 });
});

test("our probes stay out of the access log from the second start of a command on", async ({ process }) => {
  const dash = await process();
  await dash.running();
  const lines = async () => (await dash.ask("/api/services/vllm/logs?limit=10000")).body;
  await until("the version", 20_000, async () => (await dash.service() as unknown as { version: string | null }).version === "0.32.0");
  expect(await lines()).toContain("GET /health");
  const first = (await dash.service()).run;
  await dash.command("restart");
  await until("another run", 30_000, async () => {
    const now = await dash.service();
    return now.run !== first && now.state.state === "running";
  });
  await new Promise((later) => setTimeout(later, 6_000));
  expect(await lines()).not.toContain("GET /health");
});
