// Pictures of good and bad days: wide and phone, light and dark, both languages. `make screenshots`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "@playwright/test";
import { type Dashboard } from "../harness/dashboard.ts";
import { root, simImage } from "../harness/docker.ts";
import { sleep } from "../harness/net.ts";
import { test } from "../tests/fixtures.ts";

const out = process.env["OUT"] ?? join(root, "target/screenshots");
mkdirSync(out, { recursive: true });

const SIZES = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

async function picture(browser: Browser, url: string, path: string, size: keyof typeof SIZES, colorScheme: "light" | "dark", locale: string) {
  const context = await browser.newContext({ viewport: SIZES[size], deviceScaleFactor: size === "phone" ? 2 : 1, colorScheme, locale, timezoneId: "UTC" });
  const page = await context.newPage();
  const stream = page.waitForRequest((request) => request.url().includes("/api/stream"));
  await page.goto(url);
  await stream;
  // The log's end, and fonts, have settled.
  await sleep(700);
  await page.screenshot({ path, fullPage: size === "phone" });
  await context.close();
}

async function all(browser: Browser, dash: Dashboard, day: string) {
  for (const size of ["wide", "phone"] as const)
    for (const scheme of ["light", "dark"] as const)
      for (const locale of ["en", "ru"] as const)
        await picture(browser, dash.url, join(out, `${day}-${size}-${scheme}-${locale}.png`), size, scheme, locale);
}

test("stopped, starting, running", async ({ browser, dashboard }) => {
  const dash = await dashboard();
  await all(browser, dash, "stopped");
  await dash.command("start");
  await dash.state("starting");
  await sleep(1_500);
  await picture(browser, dash.url, join(out, "starting-wide-light-en.png"), "wide", "light", "en");
  await picture(browser, dash.url, join(out, "starting-phone-dark-ru.png"), "phone", "dark", "ru");
  await dash.state("running");
  // Some requests, so that the log has what a log has.
  for (let n = 0; n < 6; n++) {
    const body = JSON.stringify({ model: "lydia", prompt: "Hello", max_tokens: 16 });
    await fetch(`http://127.0.0.1:${dash.enginePort}/v1/completions`, { method: "POST", headers: { "content-type": "application/json" }, body });
  }
  await all(browser, dash, "running");
  // The README's picture: a real run, as it is.
  await picture(browser, dash.url, join(root, "images/services.png"), "wide", "light", "en");
});

test("failed", async ({ browser, dashboard }) => {
  const dash = await dashboard({ image: await simImage({ SIM_SPEED: "0", SIM_FAIL: "cuda-oom" }) });
  await dash.command("start");
  await dash.state("failed");
  await all(browser, dash, "failed");
});

test("unreachable", { tag: "@no-engine" }, async ({ browser, dashboard }) => {
  const dash = await dashboard({ env: { DOCKER_HOST: "unix:///run/no-engine-here.sock" } });
  await dash.state("unreachable");
  await all(browser, dash, "unreachable");
});

test("a flood, a long name", async ({ browser, dashboard }) => {
  const dash = await dashboard({ env: { VLLM_MODEL_NAME: `organisation/model-${"very-long-name-".repeat(5)}ninety` } });
  await dash.running();
  void dash.sim.flood(100_000, 10_000);
  await sleep(1_000);
  await all(browser, dash, "flood");
});
