// Words, themes, width, accessibility.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "@playwright/test";
import { INSTANT } from "../harness/dashboard.ts";
import { expect, open, test } from "./fixtures.ts";

const WORDS = {
  en: {
    title: "Services", log: "Logs", search: "Search logs", follow: "Follow", download: "Download", raw: "Container logs",
    buttons: ["Start", "Stop", "Restart"], values: ["Model", "GPU memory", "Uptime"], stopped: "Stopped", running: "Running",
  },
  ru: {
    title: "Сервисы", log: "Логи", search: "Поиск в логах", follow: "Следить", download: "Скачать", raw: "Логи контейнера",
    buttons: ["Запустить", "Остановить", "Перезапустить"], values: ["Модель", "GPU память", "Время работы"],
    stopped: "Остановлен", running: "Работает",
  },
} as const;

async function speaks(page: Page, lang: keyof typeof WORDS, state: "stopped" | "running") {
  const words = WORDS[lang];
  await expect(page.locator("html")).toHaveAttribute("lang", lang);
  await expect(page).toHaveTitle(new RegExp(words.title));
  const article = page.getByRole("article", { name: "vLLM", exact: true });
  await expect(article.getByRole("status")).toContainText(words[state]);
  for (const name of words.buttons) await expect(article.getByRole("button", { name, exact: true })).toBeVisible();
  for (const name of words.values) await expect(article).toContainText(name);
  await expect(article.getByRole("link", { name: words.raw })).toBeVisible();
  await expect(page.getByRole("log", { name: words.log })).toBeVisible();
  await expect(page.getByRole("searchbox", { name: words.search })).toBeVisible();
  await expect(page.getByRole("button", { name: words.follow, exact: true })).toBeVisible();
}

for (const [lang, locale] of [["en", "en-GB"], ["ru", "ru-RU"], ["en", "de-DE"]] as const) {
  test.describe(`a browser that asks for ${locale}`, () => {
    test.use({ locale });
    test(`gets ${lang}`, async ({ page, dashboard }) => {
      const dash = await dashboard({ image: INSTANT });
      await page.goto(dash.url);
      await speaks(page, lang, "stopped");
    });
  });
}

test("the language is switched on the page and kept", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await open(page, dash.url);
  await speaks(page, "en", "running");
  await page.getByRole("button", { name: "RU", exact: true }).click();
  await speaks(page, "ru", "running");
  await page.reload();
  await speaks(page, "ru", "running");
  await page.getByRole("button", { name: "EN", exact: true }).click();
  await speaks(page, "en", "running");
});

const background = (page: Page) =>
  page.evaluate(() => {
    const [r = 0, g = 0, b = 0] = (getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
    return (r + g + b) / 3;
  });

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`a system in ${colorScheme}`, () => {
    test.use({ colorScheme });
    test(`gets a ${colorScheme} page, and the switch overrules it and is kept`, async ({ page, dashboard }) => {
      const dash = await dashboard({ image: INSTANT });
      await open(page, dash.url);
      const isDark = async () => (await background(page)) < 100;
      expect(await isDark()).toBe(colorScheme === "dark");
      const other = colorScheme === "dark" ? "Light" : "Dark";
      await page.getByRole("button", { name: other, exact: true }).or(page.getByRole("radio", { name: other, exact: true })).click();
      await expect.poll(isDark).toBe(colorScheme !== "dark");
      await page.reload();
      expect(await isDark()).toBe(colorScheme !== "dark");
    });
  });
}

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true });
  for (const locale of ["en-GB", "ru-RU"]) {
    test(`the page is whole at 390 px (${locale})`, async ({ browser, dashboard }) => {
      const dash = await dashboard({ image: INSTANT, env: { VLLM_MODEL_NAME: `a-model-name-of-ninety-characters-${"x".repeat(57)}` } });
      await dash.running();
      const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale });
      const page = await context.newPage();
      const card = await open(page, dash.url);
      await dash.sim.write("stdout", `INFO 11-22 12:00:00 [a.py:1] ${"a long line ".repeat(60)}\n`);
      await expect(card.article.getByRole("status")).toContainText(/Running|Работает/);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, "pixels too wide").toBeLessThanOrEqual(0);
      for (const control of await card.article.getByRole("button").all()) {
        const box = await control.boundingBox();
        expect(box && box.x >= 0 && box.x + box.width <= 390, "within the screen").toBeTruthy();
        expect(box?.height, "large enough for a thumb").toBeGreaterThanOrEqual(36);
      }
      await context.close();
    });
  }
});

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Finding {
  id: string;
  impact: string;
  nodes: { target: unknown; failureSummary: string }[];
}

async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (options: object) => Promise<{ violations: Finding[]; passes: unknown[] }> } };
    return axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  });
  expect(found.passes.length, "rules that were checked").toBeGreaterThan(15);
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.id} (${one.impact}) ${JSON.stringify(node.target)}: ${node.failureSummary}`));
}

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`axe in ${colorScheme}`, () => {
    test.use({ colorScheme });
    test(`finds nothing serious (${colorScheme})`, async ({ page, dashboard }) => {
      const dash = await dashboard({ image: INSTANT });
      const card = await open(page, dash.url);
      await card.shows("Stopped");
      expect(await findings(page), "stopped").toEqual([]);
      await dash.running();
      await dash.sim.write("stdout", [
        "(APIServer pid=1) WARNING 11-22 12:00:00 [a.py:1] careful", "(APIServer pid=1) ERROR 11-22 12:00:00 [a.py:1] broken",
        "(APIServer pid=1) DEBUG 11-22 12:00:00 [a.py:1] detail",
        ...[31, 32, 33, 34, 35, 36, 90, 91, 92, 93, 94, 95, 96].map((code) => `\x1b[${code}mcolour ${code}\x1b[0m`), "",
      ].join("\n"));
      await card.shows("Running");
      await card.logShows("colour 96");
      expect(await findings(page), "running").toEqual([]);
      await dash.sim.exit(1);
      await card.shows("Failed");
      expect(await findings(page), "failed").toEqual([]);
      await page.goto(`${dash.url}/services/vllm`);
      expect(await findings(page), "its own page").toEqual([]);
    });
  });
}

test("everything can be reached and done by keyboard", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  const reached: string[] = [];
  for (let press = 0; press < 40; press++) {
    await page.keyboard.press("Tab");
    const name = await page.evaluate(() => {
      const now = document.activeElement;
      if (!now || now === document.body) return "";
      const style = getComputedStyle(now);
      const visible = style.outlineStyle !== "none" || style.boxShadow !== "none";
      return `${now.getAttribute("aria-label") ?? ((now as HTMLElement).innerText || (now as HTMLInputElement).labels?.[0]?.innerText || now.tagName)}${visible ? "" : " (no focus ring)"}`;
    });
    if (name !== "") reached.push(name.trim());
  }
  for (const wanted of ["Start", "Follow", "INFO"]) expect(reached.some((name) => name.startsWith(wanted)), `${wanted} in ${reached.join(" · ")}`).toBe(true);
  expect(reached.filter((name) => name.includes("(no focus ring)"))).toEqual([]);
  await card.button("Start").focus();
  await page.keyboard.press("Space");
  await card.shows("Running");
});

test("the connection's own state is shown apart from the service's", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await dash.down("SIGKILL");
  const connection = page.locator("header").getByText(/^(Live|Reconnecting…|Lost)$/);
  await expect(connection).toHaveText(/Reconnecting|Lost/, { timeout: 30_000 });
  // What is known is not made into an alarm about the service.
  await expect(card.status).not.toContainText(/Failed|Stopped|Unreachable/);
  await dash.up();
  await expect(connection).toHaveText("Live", { timeout: 40_000 });
});

test("one stream per tab, and a hidden tab drops its log", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const streams: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/api/stream")) streams.push(request.url());
  });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  expect(streams).toHaveLength(1);
  expect(streams[0]).toContain("logs=vllm");

  const visible = (state: "hidden" | "visible") =>
    page.evaluate((now) => {
      for (const [name, value] of [["visibilityState", now], ["hidden", now === "hidden"]] as const)
        Object.defineProperty(document, name, { configurable: true, get: () => value });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, state);
  await visible("hidden");
  await expect.poll(() => streams.length, { timeout: 20_000 }).toBe(2);
  expect(streams[1]).not.toContain("logs=");
  await dash.sim.write("stdout", "written while hidden\n");
  await dash.command("stop");
  await expect(card.status).toContainText("Stopped");
  await visible("visible");
  await card.logShows("written while hidden");
  expect(streams).toHaveLength(3);
  expect(streams[2]).toMatch(/logs=vllm.*after=\d+\.\d+|after=\d+\.\d+.*logs=vllm/);
});
