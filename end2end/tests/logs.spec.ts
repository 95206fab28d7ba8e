// The log window against logs whose every line is known.
import { INSTANT } from "../harness/dashboard.ts";
import { sleep } from "../harness/net.ts";
import { Card, expect, open, test } from "./fixtures.ts";

/** Elements in the log: what the browser has to lay out, however long the log is. */
const elements = (card: Card) => card.log.evaluate((log) => log.querySelectorAll("*").length);
const scrollTop = (card: Card) => card.log.evaluate((log) => log.scrollTop);
const atEnd = (card: Card) => card.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40);

/** The number that stands by a level's checkbox. */
async function count(card: Card, level: string): Promise<number> {
  const text = await card.checkbox(level).locator("xpath=ancestor::*[self::li or self::span or self::div][1]").innerText();
  return Number((/\d[\d\s,.\u00a0\u202f]*/.exec(text)?.[0] ?? "").replaceAll(/\D/g, ""));
}

const LEVELS = ["INFO", "WARNING", "ERROR", "DEBUG", "Other"] as const;
const KNOWN: Record<(typeof LEVELS)[number], string[]> = {
  INFO: Array.from({ length: 7 }, (_, n) => `(APIServer pid=1) INFO 11-22 12:00:00 [launcher.py:46] known info ${n}`),
  WARNING: Array.from({ length: 5 }, (_, n) => `(APIServer pid=1) WARNING 11-22 12:00:00 [launcher.py:46] known warning ${n}`),
  ERROR: Array.from({ length: 3 }, (_, n) => `(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1510] known error ${n}`),
  DEBUG: Array.from({ length: 2 }, (_, n) => `(APIServer pid=1) DEBUG 11-22 12:00:00 [launcher.py:46] known debug ${n}`),
  Other: Array.from({ length: 4 }, (_, n) => `known other ${n}`),
};

test("filters and counts are those of a known log", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await card.logShows(/Route: |Application startup complete/);
  const before: Record<string, number> = {};
  for (const level of LEVELS) before[level] = await count(card, level);

  // Other lines first: behind a line with a level they would be its continuation.
  await dash.sim.write("stderr", [...KNOWN.Other, ""].join("\n"));
  await dash.sim.write("stdout", [...KNOWN.INFO, ...KNOWN.WARNING, ...KNOWN.ERROR, ...KNOWN.DEBUG, ""].join("\n"));
  await card.logShows("known debug 1");
  for (const level of ["WARNING", "ERROR", "DEBUG"] as const)
    await expect(async () => expect((await count(card, level)) - (before[level] ?? 0)).toBe(KNOWN[level].length)).toPass({ timeout: 5_000 });

  // Narrowed to the known lines, each level shows exactly its own.
  await page.getByRole("searchbox", { name: "Search logs" }).fill("known ");
  await page.getByRole("button", { name: "Only matches" }).click();
  for (const level of LEVELS) await expect(card.checkbox(level)).toBeChecked();
  await card.logShows("known error 2");
  for (const only of LEVELS) {
    for (const level of LEVELS) await card.checkbox(level).setChecked(level === only);
    const word = only.toLowerCase();
    await card.logShows(`known ${word} ${KNOWN[only].length - 1}`);
    await expect(async () => {
      const text = await card.log.innerText();
      const found = [...text.matchAll(/known (\w+) (\d)/g)].map(([line]) => line);
      expect(found).toEqual(KNOWN[only].map((_, n) => `known ${word} ${n}`));
    }).toPass({ timeout: 5_000 });
  }
  await card.checkbox("Other").setChecked(false);
  await card.logLacks("known");
});

test("following lets go when the user scrolls up, and the Follow button takes it up again", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.flood(2_000);
  await card.logShows("flood n=002000");
  const follow = page.getByRole("button", { name: "Follow", exact: true });
  await expect(follow).toHaveAttribute("aria-pressed", "true");

  await card.log.hover();
  await page.mouse.wheel(0, -3_000);
  await expect(follow).toHaveAttribute("aria-pressed", "false");
  const place = await scrollTop(card);
  await dash.sim.flood(500);
  await sleep(500);
  expect(Math.abs((await scrollTop(card)) - place), "the view stays").toBeLessThan(5);

  await follow.click();
  await expect(follow).toHaveAttribute("aria-pressed", "true");
  await card.logShows("flood n=000500");
  await expect.poll(() => atEnd(card)).toBe(true);
  await dash.sim.flood(100);
  await expect.poll(() => atEnd(card)).toBe(true);
});

test("100,000 lines are kept and scroll, while the page holds only what is seen", async ({ page, dashboard }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.flood(100_000);
  await card.logShows("flood n=100000", 90_000);
  expect(await elements(card), "elements in the log").toBeLessThan(3_000);
  const rows = (await card.log.innerText()).split("\n").filter((row) => row.includes("flood n="));
  expect(rows.length, "rows in the page").toBeLessThan(400);

  await card.log.hover();
  await card.log.evaluate((log) => (log.scrollTop = 0));
  await card.logShows(/flood n=0000\d\d|non-default args/);
  await page.getByRole("searchbox", { name: "Search logs" }).fill("n=054321");
  await page.getByRole("button", { name: "Only matches" }).click();
  await card.logShows("flood n=054321", 20_000);
  await card.logLacks("flood n=100000");
});

test("following holds while lines fall out at the old end", async ({ page, dashboard }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.flood(80_000, 20_000);
  await card.logShows("flood n=080000", 40_000);
  // At the bound, and at a pace that leaves a frame between two batches.
  await dash.sim.flood(100_000, 20_000);
  await card.logShows("flood n=100000", 15_000);
  await expect(page.getByRole("button", { name: "Follow", exact: true })).toHaveAttribute("aria-pressed", "true");
  expect(await atEnd(card)).toBe(true);
});

test("ANSI colours become classes, and the codes are not shown", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", "plain \x1b[1;31mred words\x1b[0m plain \x1b]0;a title\x07end of ansi\n");
  await card.logShows("end of ansi");
  const red = card.log.getByText("red words", { exact: true }).first();
  await expect(red).toHaveClass(/red/);
  const text = await card.log.innerText();
  expect(text).not.toContain("[1;31m");
  expect(text).not.toContain("a title");
});

test("markup in a log is text", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const hostile = `<script>window.hit=1</script><img src=x onerror="window.hit=2"> </script><b>bold?</b>`;
  await dash.sim.write("stdout", `INFO 11-22 12:00:00 [a.py:1] ${hostile}\n`);
  await card.logShows(hostile);
  // Rendered by the server, it is text as well.
  await page.reload();
  await card.logShows(hostile);
  expect(await page.evaluate(() => (window as { hit?: number }).hit)).toBeUndefined();
  await expect(card.log.locator("script, img, b")).toHaveCount(0);
});

test("invalid UTF-8, control and direction characters are shown, and hide nothing", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", Buffer.concat([
    Buffer.from("bad "), Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80]), Buffer.from(" utf8 end\n"),
    Buffer.from("nul \x00 bell \x07 back\x08 end\n"),
    Buffer.from("bidi \u202egpj.exe\u202c end\n"),
    Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 37 + 11) % 256).filter((b) => b !== 10 && b !== 13)), Buffer.from("\nafter the noise\n"),
  ]));
  await card.logShows("after the noise");
  const text = await card.log.innerText();
  expect(text).toMatch(/bad .*\ufffd.* utf8 end/);
  expect(text).not.toContain("\u202e");
  expect(text).not.toContain("\x00");
});

test("a line of 10 MB is cut with a mark, and the page stays quick", async ({ page, dashboard }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", Buffer.concat([Buffer.from("long begin "), Buffer.alloc(10_000_000, "x"), Buffer.from("\nafter the long line\n")]));
  await card.logShows("after the long line", 60_000);
  expect((await card.log.evaluate((log) => log.textContent?.length ?? 0)), "text in the page").toBeLessThan(1_500_000);
  const begin = Date.now();
  await card.checkbox("DEBUG").setChecked(false);
  expect(Date.now() - begin, "a click").toBeLessThan(2_000);
});

test("a million empty lines are bounded in memory and in the page", async ({ page, dashboard }) => {
  test.setTimeout(150_000);
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  for (let part = 0; part < 10; part++) await dash.sim.write("stdout", Buffer.alloc(100_000, "\n"));
  await dash.sim.write("stdout", "after a million lines\n");
  await card.logShows("after a million lines", 90_000);
  expect(await elements(card)).toBeLessThan(3_000);
  const { readFile } = await import("node:fs/promises");
  const resident = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${dash.pid}/status`, "utf8"))?.[1]) / 1024;
  expect(resident, "MiB resident").toBeLessThan(200);
});

test("a progress bar that is redrawn is one line", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  for (let step = 0; step <= 50; step += 10) {
    await dash.sim.write("stderr", `\rCapturing CUDA graphs (bars): ${step}/50`);
    await sleep(100);
  }
  await dash.sim.write("stderr", "\nbehind the bar\n");
  await card.logShows("behind the bar");
  const bars = (await card.log.innerText()).match(/Capturing CUDA graphs \(bars\)/g) ?? [];
  expect(bars).toHaveLength(1);
  await card.logShows("(bars): 50/50");
});

test("a traceback takes the level of its line", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", [
    "(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1510] known head",
    "(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1510] Traceback (most recent call last):",
    '  File "/x/known_frame.py", line 1, in <module>',
    "ValueError: known cause", "",
  ].join("\n"));
  await card.logShows("known cause");
  await page.getByText("View", { exact: true }).click();
  await page.getByRole("checkbox", { name: "Fold lines of one kind" }).uncheck();
  await page.keyboard.press("Escape");
  for (const level of ["INFO", "WARNING", "DEBUG", "Other"]) await card.checkbox(level).setChecked(false);
  await card.logShows("known_frame.py");
  await card.logShows("known cause");
});

test("the whole log can be read raw and downloaded, also when stopped", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.sim.write("stdout", "raw words\n");
  await dash.command("stop");
  await dash.state("stopped");
  const card = await open(page, dash.url);
  const raw = await card.article.getByRole("link", { name: "Container logs" }).getAttribute("href");
  const answer = await dash.ask(new URL(raw ?? "", dash.url).pathname + new URL(raw ?? "", dash.url).search);
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toContain("text/plain");
  expect(answer.body).toContain("raw words");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download", exact: true }).or(page.getByRole("link", { name: "Download", exact: true })).click();
  expect((await download).suggestedFilename()).toMatch(/vllm/);
});

test("the first view has the log's end before any script runs", async ({ browser, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(dash.url);
  await expect(new Card(page).log).toContainText("Application startup complete");
  await context.close();
});
