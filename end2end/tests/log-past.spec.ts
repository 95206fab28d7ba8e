// The window on one run's lines beside the live log.
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { Card, expect, open, test } from "./fixtures.ts";
import type { Page } from "@playwright/test";

const info = (text: string) => `(APIServer pid=1) INFO 11-22 12:00:00 [a.py:1] ${text}`;
const past = (page: Page, run: number) => page.getByRole("log", { name: `Run ${run}`, exact: true });
const shows = (page: Page, run: number, text: string | RegExp) =>
  expect.poll(() => past(page, run).innerText(), { message: `run ${run} shows ${String(text)}` }).toMatch(typeof text === "string" ? new RegExp(text) : text);

/** A run with these many known lines that is over, and a run behind it. Its number, and the number of its line `known 0`. */
async function twoRuns(dash: Dashboard, lines: number): Promise<{ run: number; zero: number; last: number }> {
  const { run } = await dash.running();
  const text = Array.from({ length: lines }, (_, n) => (n % 1000 === 700 ? `(EngineCore pid=9) ERROR 11-22 12:00:00 [c.py:1] known error ${n}` : info(`known ${n} end`)));
  await dash.sim.write("stdout", [...text, ""].join("\n"));
  const find = async (q: string) => (await dash.ask(`/api/services/vllm/logs?run=${run}&q=${encodeURIComponent(q)}`)).body;
  await expect.poll(() => find(`known ${lines - 1} end`), { timeout: 30_000 }).not.toBe("");
  const zero = Number(/^\[(\d+),/.exec(await find("known 0 end"))?.[1]);
  await dash.command("restart");
  await expect.poll(async () => (await dash.service()).run, { timeout: 30_000 }).not.toBe(run);
  await dash.state("running");
  const answer = await dash.ask(`/api/services/vllm/logs?run=${run}&limit=1`);
  return { run: run ?? 0, zero, last: Number(answer.headers["x-last"]) };
}

test("an address opens a run at a line, with its search, beside the live log", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const { run, zero } = await twoRuns(dash, 3_000);
  const line = zero + 1_500;
  const card = await open(page, `${dash.url}/services/vllm?run=${run}&line=${line}&q=known+1500`);
  await expect(page.getByRole("heading", { name: `Run ${run}`, exact: true })).toBeVisible();
  const row = past(page, run).locator(`[data-seq="${run}.${line}"]`);
  await expect(row).toContainText("known 1500 end");
  await expect(row).toHaveClass(/chosen/);
  await expect(row).toBeInViewport();
  await expect(row.locator("mark")).toHaveText("known 1500");
  await expect(page.locator("#past-search")).toHaveValue("known 1500");
  // The live log goes on.
  await dash.sim.write("stdout", `${info("a live line")}\n`);
  await card.logShows("a live line");
  await expect(past(page, run)).not.toContainText("a live line");

  // What is read is in the address, and survives a reload.
  await past(page, run).focus();
  await page.keyboard.press("e");
  await expect(past(page, run).locator(".chosen")).toContainText("known error 1700");
  await expect.poll(() => new URL(page.url()).search).toBe(`?run=${run}&line=${zero + 1_700}&q=known%201500`);
  await page.reload();
  await expect(past(page, run).locator(".chosen")).toContainText("known error 1700");
  await expect(past(page, run).locator(".chosen")).toBeInViewport();

  await page.getByRole("link", { name: "Close" }).click();
  await expect(page.getByRole("heading", { name: `Run ${run}`, exact: true })).toHaveCount(0);
  expect(new URL(page.url()).search).toBe("");
});

test("only a window of a long run is held, and any place of it can be reached", async ({ page, dashboard }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: INSTANT });
  const { run, zero, last } = await twoRuns(dash, 30_000);
  await open(page, `${dash.url}/services/vllm?run=${run}`);
  // Without a line it opens at the end: why it ended is there.
  const log = past(page, run);
  await expect(log.locator(`[data-seq="${run}.${last}"]`)).toBeInViewport();
  await log.focus();
  await page.keyboard.press("Home");
  await expect(log.locator(`[data-seq="${run}.1"]`)).toBeInViewport();

  // Scrolled on, lines come by themselves.
  for (let turn = 0; turn < 12; turn++) {
    await log.evaluate((it) => (it.scrollTop = it.scrollHeight));
    await page.waitForTimeout(150);
  }
  await expect.poll(async () => Number(/known (\d+) end/.exec(await log.innerText())?.[1]), { timeout: 10_000 }).toBeGreaterThan(5_000);

  const slider = page.getByRole("slider", { name: "Position in the run" });
  await expect(slider).toHaveAttribute("max", String(last));
  await slider.fill(String(zero + 20_000));
  await expect(log.locator(`[data-seq="${run}.${zero + 20_000}"]`)).toBeInViewport();
  await expect(page.locator("#past-place")).toHaveText(new RegExp(`^[\\d,]+ / ${last.toLocaleString("en-US")}$`));
  await log.evaluate((it) => (it.scrollTop = 0));
  await expect.poll(async () => Number(/known (\d+) end/.exec(await log.innerText())?.[1])).toBeLessThan(19_500);

  // Errors and matches are found beyond what is held.
  await slider.fill(String(zero + 2_000));
  await shows(page, run, "known 2000 end");
  await page.locator("#past-lowest").selectOption({ label: "ERROR and above" });
  await shows(page, run, "known error 1700");
  await shows(page, run, "known error 2700");
  await page.locator("#past-lowest").selectOption({ label: "All levels" });
  await page.locator("#past-search").fill("known 27123 end");
  await page.locator("#past-search").press("Enter");
  await expect(log.locator(".chosen")).toContainText("known 27123 end");
  await page.locator("#past-search").fill("known 12 end");
  await page.locator("#past-search").press("Shift+Enter");
  await expect(log.locator(".chosen")).toContainText("known 12 end");
});

test("levels, pipes and the narrowing search are in the address, with and without JavaScript", async ({ page, browser, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const { run } = await twoRuns(dash, 3_000);
  await open(page, `${dash.url}/services/vllm?run=${run}&levels=error&q=known&only=1`);
  const levels = page.locator("#past-levels");
  await expect(levels.getByRole("checkbox", { name: "ERROR" })).toBeChecked();
  await expect(levels.getByRole("checkbox", { name: "INFO" })).not.toBeChecked();
  await expect(page.locator("#past-lowest")).toHaveValue("error");
  await expect(past(page, run).locator(".row")).toHaveCount(3);
  await page.locator("#past-only").click();
  await levels.getByRole("checkbox", { name: "WARNING" }).check();
  await page.locator("#past-window").getByRole("checkbox", { name: "stderr" }).uncheck();
  await expect.poll(() => new URL(page.url()).search).toMatch(/&q=known&levels=warning,error&stream=stdout$/);
  await page.reload();
  await expect(levels.getByRole("checkbox", { name: "WARNING" })).toBeChecked();
  await expect(page.locator("#past-window").getByRole("checkbox", { name: "stderr" })).not.toBeChecked();
  await expect(page.locator("#past-only")).toHaveAttribute("aria-pressed", "false");

  const plain = await browser.newContext({ javaScriptEnabled: false });
  const still = await plain.newPage();
  await still.goto(`${dash.url}/services/vllm?run=${run}&levels=error`);
  await expect(past(still, run).locator(".row")).toHaveCount(3);
  await plain.close();
});

test("a time is jumped to", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const { run } = await dash.running();
  await dash.sim.flood(60, 20);
  const stream = async () => (await dash.ask(`/api/services/vllm/logs?run=${run}&q=flood`)).body.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as [number, string]);
  await expect.poll(async () => (await stream()).length, { timeout: 20_000 }).toBe(60);
  const lines = await stream();
  const second = `${lines[30]?.[1].slice(0, 19)}`;
  const wanted = lines.find(([, time]) => time >= `${second}.000Z`);
  await open(page, `${dash.url}/services/vllm?run=${run}`);
  const field = page.locator("#past-window").getByLabel("Jump to a time");
  await expect(field).not.toHaveValue("");
  await field.fill(second);
  await field.blur();
  await expect(past(page, run ?? 0).locator(`[data-seq="${run}.${wanted?.[0]}"]`)).toBeInViewport();
  const answer = await dash.ask(`/api/services/vllm/logs?run=${run}&at=${second}Z&limit=1`);
  expect(JSON.parse(answer.body)[0]).toBe(wanted?.[0]);
  expect((await dash.ask("/api/services/vllm/logs?at=yesterday")).status).toBe(400);
});

test("without JavaScript the line is there, and links lead on", async ({ browser, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const { run, zero } = await twoRuns(dash, 500);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${dash.url}/services/vllm?run=${run}&line=${zero + 250}`);
  await expect(past(page, run).locator(".chosen")).toContainText("known 250 end");
  await page.getByRole("link", { name: "First line" }).click();
  await expect(past(page, run).locator(`[data-seq="${run}.1"]`)).toHaveClass(/chosen/);
  await page.getByRole("link", { name: "Close" }).click();
  await expect(new Card(page).log).toBeVisible();
  await expect(page.getByRole("log")).toHaveCount(1);
  // A run that is not kept, and nonsense.
  await page.goto(`${dash.url}/services/vllm?run=999999&line=7`);
  await expect(page.getByText("The lines of this run are not kept any more.")).toBeVisible();
  await page.goto(`${dash.url}/services/vllm?run=%3Cscript%3E&line=-1`);
  await expect(page.getByRole("log")).toHaveCount(1);
  await context.close();
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true });
  test("both windows fit, one above the other", async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    const { run, zero } = await twoRuns(dash, 300);
    await open(page, `${dash.url}/services/vllm?run=${run}&line=${zero + 10}`);
    await shows(page, run, "known 10 end");
    await expect(page.getByRole("heading", { name: `Run ${run}`, exact: true })).toBeInViewport();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide, "pixels too wide").toBeLessThanOrEqual(0);
    await page.locator("#past-window summary", { hasText: "View" }).click();
    const box = await page.locator("#past-window .menu").boundingBox();
    expect(box && box.x >= 0 && box.x + box.width <= 390, "the menu is within the screen").toBeTruthy();
  });
});
