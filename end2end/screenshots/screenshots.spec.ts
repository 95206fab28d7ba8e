// Pictures of good and bad days: wide and phone, light and dark, both languages. `make screenshots`.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "@playwright/test";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { root } from "../harness/docker.ts";
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

test("starting again, with what is usual", async ({ browser, dashboard }) => {
  const dash = await dashboard();
  await dash.running();
  await dash.command("restart");
  await dash.state("starting");
  await sleep(2_500);
  await picture(browser, dash.url, join(out, "again-wide-light-en.png"), "wide", "light", "en");
  await picture(browser, dash.url, join(out, "again-phone-dark-ru.png"), "phone", "dark", "ru");
});

test("failed", async ({ browser, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, toml: '[[service]]\nname = "vllm"\nargs = ["--gpu-memory-utilization", "0.14"]\n' });
  await dash.command("start");
  await dash.state("failed");
  await sleep(1_000);
  await all(browser, dash, "failed");
});

test("a GPU with others on it, a plan that does not fit", async ({ browser, dashboard }) => {
  const folder = mkdtempSync(join(tmpdir(), "services-gpu-"));
  const file = join(folder, "machine.json");
  const env = { SERVICES_NVML_LIBRARY: process.env["SERVICES_TEST_NVML"] ?? "", NVML_SIM_FILE: file };
  const device = { name: "NVIDIA L4", uuid: "GPU-5c8b", pci: "0000:01:00.0", memory: { total_mib: 24_576, base_mib: 512 }, utilisation_percent: 37, temperature_c: 61, power_mw: 58_400, power_limit_mw: 72_000 };
  writeFileSync(file, JSON.stringify({ driver_version: "580.65.06", devices: [{ ...device, compute: [{ pid: process.pid, memory_mib: 3072 }] }] }));
  const dash = await dashboard({ image: INSTANT, env });
  await sleep(3_000);
  await all(browser, dash, "gpu");
  rmSync(folder, { recursive: true, force: true });
});

test("a log explained", { tag: "@no-engine" }, async ({ browser, dashboard }) => {
  const dash = await dashboard({ env: { VLLM_RUNTIME: "demo" } });
  for (const [size, locale] of [["wide", "en"], ["phone", "ru"]] as const) {
    const context = await browser.newContext({ viewport: SIZES[size], locale, colorScheme: size === "wide" ? "light" : "dark" });
    const page = await context.newPage();
    await page.goto(`${dash.url}/explain`);
    await page.locator('input[type="file"]').setInputFiles(join(root, "server/tests/recordings/f_max_model_len_too_large.stderr"));
    await page.locator('form[action="/explain"] button').click();
    await sleep(500);
    await page.screenshot({ path: join(out, `explain-${size}.png`), fullPage: true });
    await context.close();
  }
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
