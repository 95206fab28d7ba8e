// The runs of a service: listed with how they ended, beside each other, and the requests that a run's log tells of.
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { expect, open, test } from "./fixtures.ts";
import type { Page } from "@playwright/test";

interface Run {
  run: number;
  service: string;
  started: string;
  ready: string | null;
  ended: string | null;
  live: boolean;
  code: number | null;
  outcome: { state: string; failure?: { kind: string; diagnosis?: { cause: string } } } | null;
  phases: { phase: string; took_ms: number | null }[];
  image: string | null;
  configuration: Record<string, string> | null;
}

const listed = async (dash: Dashboard, query = ""): Promise<Run[]> => JSON.parse((await dash.ask(`/api/services/vllm/runs${query}`)).body) as Run[];
const runs = (page: Page) => page.getByRole("region", { name: "Runs", exact: true });
const openRuns = (page: Page) => page.getByRole("heading", { name: "Runs", exact: true }).click();
const row = (page: Page, run: number) => runs(page).getByRole("row").filter({ has: page.getByRole("link", { name: `Run ${run}`, exact: true }) });

test("each run is listed with how it ended, and two starts stand beside each other", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const list = () => listed(dash);
  expect(await list()).toEqual([]);
  const card = await open(page, dash.url);
  await openRuns(page);
  await expect(page.getByText("No run yet.")).toBeVisible();

  // A run that is stopped; the list follows by itself.
  await dash.running();
  const [first] = await list();
  expect(first).toMatchObject({ service: "vllm", live: true, ended: null, outcome: null });
  // The log may be a moment behind the health check.
  await expect.poll(async () => (await list())[0]?.phases.map((one) => one.phase)).toEqual(expect.arrayContaining(["create", "import", "config", "load", "api"]));
  expect(first?.configuration?.["VLLM_IMAGE"]).toBe(INSTANT);
  const a = first!.run;
  await expect(row(page, a)).toContainText("Goes on");
  await dash.command("stop");
  await dash.state("stopped");
  await expect(row(page, a)).toContainText("Stopped");
  await expect(row(page, a)).toContainText("exit code 0");

  // One that dies, and is another run.
  await dash.running();
  await dash.sim.exit(3);
  await dash.state("failed");
  await expect(row(page, a + 1)).toContainText("Failed");
  await expect(row(page, a + 1)).toContainText("exit code 3");
  const both = await list();
  expect(both.map((one) => one.run)).toEqual([a + 1, a]);
  expect(both[0]).toMatchObject({ live: false, code: 3, outcome: { state: "failed" } });
  expect(both[1]).toMatchObject({ live: false, code: 0, outcome: { state: "stopped" } });
  for (const one of both) expect(Date.parse(one.ended!) - Date.parse(one.started)).toBeGreaterThan(0);

  // What is asked of the service later is not how the run ended.
  await dash.command("stop");
  await dash.state("stopped");
  expect((await list())[0]).toMatchObject({ outcome: { state: "failed" } });

  await row(page, a + 1).getByRole("button", { name: "Compare with the one before" }).click();
  const beside = page.getByRole("region", { name: `Run ${a} beside run ${a + 1}` });
  await expect(beside.getByRole("row").filter({ hasText: "Loading weights" })).toBeVisible();
  await expect(beside).toContainText("Both were launched with the same settings.");
  await beside.getByRole("button", { name: "Close the comparison" }).click();
  await expect(beside).toBeHidden();

  // Two are needed.
  await row(page, a).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Compare the two chosen" }).click();
  await expect(page.getByText("Choose exactly two runs to compare.")).toBeVisible();
  await row(page, a).getByRole("checkbox").check();
  await row(page, a + 1).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Compare the two chosen" }).click();
  await expect(beside).toBeVisible();
  await expect(card.article).toBeVisible();
});

test("a start that failed keeps its phases and its cause, over a restart of the dashboard, too", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT, toml: '[[service]]\nname = "vllm"\nargs = ["--sim-fail", "cuda-oom"]\n' });
  await dash.command("start");
  await dash.state("failed");
  const one = () => listed(dash);
  await expect.poll(async () => (await one())[0]?.outcome?.failure?.diagnosis?.cause).toBe("does-not-fit");
  const [before] = await one();
  expect(before?.phases.map((phase) => phase.phase)).toEqual(expect.arrayContaining(["create", "import", "config", "load"]));
  expect(before?.ready).toBeNull();
  await dash.down();
  await dash.up();
  await dash.state("failed");
  // Its log may have come to the disk meanwhile.
  expect({ ...(await one())[0], bytes: 0, lines: 0 }).toEqual({ ...before, bytes: 0, lines: 0 });
});

test("the list is asked for in pages, and what is not allowed is named", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const [run] = await listed(dash, "?limit=1");
  expect(await listed(dash, `?before=${run!.run}`)).toEqual([]);
  for (const bad of ["limit=0", "limit=x", "before=x"]) {
    const refused = await dash.ask(`/api/services/vllm/runs?${bad}`);
    expect(refused.status, bad).toBe(400);
    expect(refused.headers["content-type"]).toContain("application/problem+json");
  }
  expect((await dash.ask("/api/services/nobody/runs")).status).toBe(404);
});

test("requests are put together from the log when somebody asks", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await open(page, dash.url);
  const region = page.getByRole("region", { name: "Requests", exact: true });
  await region.getByRole("heading", { name: "Requests" }).click();
  await region.getByRole("button", { name: "Read the log" }).click();
  await expect(region).toContainText("--enable-log-requests");

  const head = "(APIServer pid=1) INFO 11-22 12:00:00";
  await dash.sim.write(
    "stdout",
    [
      `${head} [request_logger.py:65] Received request chatcmpl-77: params: SamplingParams(n=1, temperature=0.5, max_tokens=8), lora_request: None.`,
      `${head} [async_llm.py:578] Added request chatcmpl-77-bfaf584c.`,
      `${head} [request_logger.py:90] Generated response chatcmpl-77: output: 'ok', output_token_ids: [1, 2], finish_reason: stop`,
      `${head} [request_logger.py:65] Received request chatcmpl-78: params: SamplingParams(n=1), lora_request: None.`,
      "",
    ].join("\n"),
  );
  const again = region.getByRole("button", { name: "Read it again" });
  await expect(async () => {
    await again.click();
    await expect(region.getByRole("rowheader")).toHaveCount(2, { timeout: 1_000 });
  }).toPass();
  const finished = region.getByRole("row").filter({ hasText: "chatcmpl-77" });
  await expect(finished).toContainText("Finished: stop");
  await expect(finished).toContainText("2 out");
  await expect(finished).toContainText("temperature 0.5, max_tokens 8");
  await expect(finished.getByRole("link")).toHaveAttribute("href", /^\/services\/vllm\?run=\d+&line=\d+$/);
  await expect(region.getByRole("row").filter({ hasText: "chatcmpl-78" })).toContainText("Running");
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("two runs are compared, and a comparison has an address", async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    await dash.running();
    const run = (await dash.service()).run!;
    await dash.command("restart");
    await expect.poll(async () => (await dash.service()).run).toBe(run + 1);
    await dash.state("running");
    await page.goto(`${dash.url}/services/vllm`);
    await openRuns(page);
    await row(page, run + 1).getByRole("button", { name: "Compare with the one before" }).click();
    const beside = page.getByRole("region", { name: `Run ${run} beside run ${run + 1}` });
    await expect(beside).toBeVisible();
    await page.goto(`${dash.url}/parts/runs/vllm/compare?a=${run + 1}&b=${run}`);
    await expect(beside).toBeVisible();
    await expect(page.getByRole("article", { name: "vLLM" })).toBeVisible();
    await page.goto(`${dash.url}/services/vllm`);
    await page.getByRole("heading", { name: "Requests", exact: true }).click();
    await page.getByRole("button", { name: "Read the log" }).click();
    await expect(page.getByText(/says nothing of requests/)).toBeVisible();
  });
});

test("the runs read well on a narrow screen", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await page.setViewportSize({ width: 390, height: 800 });
  await open(page, `${dash.url}/services/vllm`);
  await openRuns(page);
  const cells = row(page, (await dash.service()).run!).getByRole("cell");
  await expect(cells.filter({ hasText: "Goes on" })).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  const wide = await runs(page).evaluate((all) => [...all.querySelectorAll("tbody td, tbody th")].filter((it) => it.getBoundingClientRect().right > innerWidth + 1).length);
  expect(wide).toBe(0);
});
