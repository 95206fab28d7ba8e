// The page Search: what is looked for stands in its address, what is found comes as it is found, without a script.
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { findings } from "../harness/axe.ts";
import { until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";
import type { Page } from "@playwright/test";

const hits = (page: Page) => page.getByRole("article");
const status = (page: Page) => page.getByRole("status");

async function known(dash: Dashboard) {
  await dash.running();
  await dash.sim.write("stderr", "<b>needle</b> in the first run\n");
  await dash.sim.write("stdout", "(APIServer pid=1) ERROR 11-22 12:00:00 [a.py:1] a needle that failed\nlast of all\n");
  await until("the lines", 10_000, async () => (await dash.ask("/api/services/vllm/logs?q=last%20of%20all")).body !== "");
}

test("text is searched in all runs from the log window, and a hit opens its run at its line", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await known(dash);
  const card = await open(page, dash.url);
  await card.logShows("last of all");
  await page.getByRole("searchbox", { name: "Search logs" }).fill("needle");
  await page.getByRole("button", { name: "All runs…" }).click();
  await expect(page).toHaveURL(/\/services\/vllm\/search\?q=needle&run=all/);
  await expect(status(page)).toContainText("2 lines found");
  await expect(hits(page)).toHaveCount(2);
  await expect(hits(page).first()).toContainText("a needle that failed");
  await expect(hits(page).first().locator("mark")).toHaveText("needle");
  await expect(hits(page).nth(1)).toContainText("<b>needle</b> in the first run");
  expect(await findings(page)).toEqual([]);

  // Narrowed by the form; the address says it all.
  await page.getByLabel("ERROR").check();
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await expect(status(page)).toContainText("1 line found");
  await expect(page).toHaveURL(/level=error/);
  await page.reload();
  await expect(hits(page)).toHaveCount(1);

  // A bar of the timeline is a stretch of time.
  await page.getByRole("link", { name: /: 1 line$/ }).click();
  await expect(page).toHaveURL(/from=.*&to=/);
  await expect(status(page)).toContainText("1 line found");

  await page.getByRole("link", { name: /^Run \d+, line \d+$/ }).click();
  await expect(page).toHaveURL(/\?run=\d+&line=\d+&q=needle/);
  await expect(page.getByRole("heading", { name: /^Run \d+$/ })).toBeVisible();
  await expect(page.locator("#past")).toContainText("a needle that failed");
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("a search says what is wrong with it, and finds nothing politely", async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    await known(dash);
    await page.goto(`${dash.url}/services/vllm/search`);
    await expect(hits(page)).toHaveCount(0);
    await page.getByLabel("Text").fill("a(");
    await page.getByLabel("Regular expression").check();
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await expect(page.getByRole("alert")).toContainText("unclosed group");
    await expect(page.getByLabel("Text")).toHaveValue("a(");
    await page.getByLabel("Text").fill("needle|nothing");
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await expect(hits(page)).toHaveCount(2);
    await page.getByLabel("Text").fill("nowhere to be seen");
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await expect(status(page)).toContainText("Nothing found");
    const answer = await page.goto(`${dash.url}/services/vllm/search?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E&source=%22%3E%3Cb%3E&from=%27%22%3E`);
    expect(answer?.status()).toBe(400);
    expect(await page.content()).not.toContain("<script>alert");
    expect((await page.goto(`${dash.url}/services/nobody/search?q=a`))?.status()).toBe(404);
  });

  test("it speaks Russian", async ({ page, dashboard, context }) => {
    const dash = await dashboard({ image: INSTANT });
    await known(dash);
    await context.addCookies([{ name: "lang", value: "ru", url: dash.url }]);
    await page.goto(`${dash.url}/services/vllm/search?q=needle`);
    await expect(status(page)).toContainText("Найдено: 2 строки");
  });
});
