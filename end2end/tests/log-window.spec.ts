// What can be done in the log window: search, filters, folding, the view, moving, selecting, gaps.
import type { Page } from "@playwright/test";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { Card, expect, open, test } from "./fixtures.ts";

const info = (text: string) => `(APIServer pid=1) INFO 11-22 12:00:00 [a.py:1] ${text}`;
const scrollTop = (card: Card) => card.log.evaluate((log) => log.scrollTop);
const searchbox = (page: Page) => page.getByRole("searchbox", { name: "Search logs" });
const matches = (page: Page) => page.locator("#log-matches");
const chosen = (card: Card) => card.log.locator(".row.chosen");
const menu = (page: Page) => page.locator("#log-window summary", { hasText: "View" });

/** What a copy puts on the clipboard. */
const copied = async (page: Page) => {
  await page.evaluate(() => {
    const seen = window as unknown as { copied?: string };
    delete seen.copied;
    window.addEventListener("copy", (event) => (seen.copied = event.clipboardData?.getData("text/plain") ?? ""), { once: true });
  });
  await page.keyboard.press("ControlOrMeta+C");
  return page.evaluate(() => (window as unknown as { copied?: string }).copied);
};

interface Logs {
  run: number;
  last: number;
}

/** The page's first stream is made up behind the real snapshot, and no other one opens. */
async function crafted(page: Page, dash: Dashboard, events: (logs: Logs) => string[]): Promise<Logs> {
  const reader = (await fetch(`${dash.url}/api/stream?logs=vllm`)).body?.getReader();
  let text = "";
  while (!text.includes("\n\n")) text += new TextDecoder().decode((await reader?.read())?.value);
  await reader?.cancel();
  const snapshot = text.slice(0, text.indexOf("\n\n"));
  const { logs } = JSON.parse(/^data: ?(.*)$/m.exec(snapshot)?.[1] ?? "{}") as { logs: Logs };
  let first = true;
  await page.route("**/api/stream?*", (route) => {
    if (!first) return route.abort();
    first = false;
    return route.fulfill({ contentType: "text/event-stream", body: [snapshot, ...events(logs), ""].join("\n\n") });
  });
  return logs;
}

const linesEvent = (run: number, lines: unknown[][]) =>
  `event: lines\nid: ${run}.${lines.at(-1)?.[0]}\ndata: ${JSON.stringify({ run, lines })}`;

/** The rows in view, each as one text. */
const rows = (card: Card) => card.log.locator(".row").allInnerTexts();

test("a search marks and counts, steps through what it finds, and narrows only when asked", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const lines = Array.from({ length: 400 }, (_, n) => info(n % 100 === 50 ? `a Needle number ${n}` : `hay ${n}`));
  await dash.sim.write("stdout", [...lines, ""].join("\n"));
  await card.logShows("hay 399");
  await card.log.hover();
  await page.mouse.wheel(0, -400);
  const before = await scrollTop(card);
  await searchbox(page).fill("nEEdle");
  await expect(matches(page)).toHaveText("4 matches");
  await card.logShows("hay");
  expect(Math.abs((await scrollTop(card)) - before), "the view stays").toBeLessThan(2);

  // From the top of the view on; behind the last comes the first.
  await searchbox(page).press("Enter");
  await card.logShows("Needle number 350");
  await expect(card.log.locator("mark")).toHaveText("Needle");
  await expect(matches(page)).toHaveText("4 of 4");
  await expect(chosen(card)).toContainText("Needle number 350");
  await searchbox(page).press("Enter");
  await expect(matches(page)).toHaveText("1 of 4");
  await card.logShows("Needle number 50");
  await card.log.focus();
  await page.keyboard.press("n");
  await expect(matches(page)).toHaveText("2 of 4");
  await page.keyboard.press("F3");
  await expect(matches(page)).toHaveText("3 of 4");
  await page.keyboard.press("N");
  await expect(matches(page)).toHaveText("2 of 4");
  await page.getByRole("button", { name: "Next match" }).click();
  await expect(matches(page)).toHaveText("3 of 4");
  await expect(chosen(card)).toContainText("Needle number 250");

  const only = page.getByRole("button", { name: "Only matches" });
  await only.click();
  await expect(only).toHaveAttribute("aria-pressed", "true");
  await card.logLacks("hay");
  await card.logShows("Needle number 50");
  await card.logShows("Needle number 350");
  // What comes is counted, too.
  await dash.sim.write("stdout", `${info("one more needle")}\n${info("more hay")}\n`);
  await expect(matches(page)).toHaveText(/of 5$/);
  await card.logLacks("more hay");
  // Text is searched for, no pattern.
  await searchbox(page).fill(".*");
  await expect(matches(page)).toHaveText("No match");
  await card.logLacks("Needle");
  await searchbox(page).fill("");
  await card.logShows("hay");
  await expect(only).toBeHidden();
});

test("what the live log shows is in the address, and survives a reload; a time is jumped to", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.sim.write("stdout", `${info("the first needle")}\n(EngineCore pid=9) ERROR 11-22 12:00:00 [c.py:1] the second needle\n${info("hay")}\n`);
  const card = await open(page, `${dash.url}/services/vllm`);
  await card.logShows("hay");
  await searchbox(page).fill("needle & thread");
  await expect.poll(() => new URL(page.url()).search).toBe("?q=needle%20%26%20thread");
  await searchbox(page).fill("needle");
  await page.getByRole("button", { name: "Only matches" }).click();
  await page.locator("#log-lowest").selectOption("error");
  await expect.poll(() => new URL(page.url()).search).toBe("?q=needle&only=1&levels=error");
  await page.reload();
  await expect(searchbox(page)).toHaveValue("needle");
  await expect(card.log.locator(".row")).toHaveCount(1);
  await expect(card.log).toContainText("the second needle");
  await page.locator("#log-lowest").selectOption("other");
  await page.getByRole("button", { name: "Only matches" }).click();
  await searchbox(page).fill("");
  await expect.poll(() => new URL(page.url()).search).toBe("");

  // A time before all lines is the first of them; one behind them the end.
  await menu(page).click();
  const time = page.locator("#log-time");
  await time.fill("2020-01-01T00:00:00");
  await time.dispatchEvent("change");
  await expect(chosen(card)).toHaveAttribute("data-seq", /\.1$/);
  await time.fill("2099-01-01T00:00:00");
  await time.dispatchEvent("change");
  await expect(page.locator("#log-follow")).toHaveAttribute("aria-pressed", "true");
});

test("the lowest level sets the levels, and follows them", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", [
    "plain words", info("an info"), "(APIServer pid=1) WARNING 11-22 12:00:00 [a.py:1] a warning",
    "(APIServer pid=1) ERROR 11-22 12:00:00 [a.py:1] an error", "",
  ].join("\n"));
  await card.logShows("an error");
  const lowest = page.getByRole("combobox", { name: "Lowest level" });
  await expect(lowest).toHaveValue("other");
  await lowest.selectOption({ label: "WARNING and above" });
  for (const [level, on] of [["DEBUG", false], ["INFO", false], ["WARNING", true], ["ERROR", true], ["Other", false]] as const)
    await expect(card.checkbox(level)).toBeChecked({ checked: on });
  await card.logLacks("an info");
  await card.logShows("a warning");
  await card.checkbox("WARNING").uncheck();
  await expect(lowest).toHaveValue("error");
  await card.logLacks("a warning");
  await card.checkbox("INFO").check();
  await expect(lowest).toHaveValue("");
  await lowest.selectOption({ label: "All levels" });
  await card.logShows("plain words");
});

test("standard output and standard error are shown apart", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", `${info("said on stdout")}\n`);
  await dash.sim.write("stderr", `${info("said on stderr")}\n`);
  await card.logShows("said on stderr");
  await card.checkbox("stdout").uncheck();
  await card.logLacks("said on stdout");
  await card.logShows("said on stderr");
  await card.checkbox("stdout").check();
  await card.checkbox("stderr").uncheck();
  await card.logShows("said on stdout");
  await card.logLacks("said on stderr");
  // Chosen before a reload, it is so afterwards.
  await page.reload();
  await expect(card.checkbox("stdout")).toBeChecked();
  await expect(card.checkbox("stderr")).not.toBeChecked();
  await card.checkbox("stderr").check();
  await card.logShows("said on stderr");
});

test("lines of one kind fold to their last, and probes are hidden and counted", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const said: [kind: string, level: string, text: string][] = [
    ["none", "error", "the head"],
    ["trace", "error", "Traceback (most recent call last):"],
    ["trace", "error", '  File "/x/frame.py", line 1, in <module>'],
    ["trace", "error", "ValueError: the cause"],
    ["probe", "info", "first probe"],
    ["stats", "info", "throughput 1"],
    ["probe", "info", "second probe"],
    ["stats", "info", "throughput 2"],
    ["access", "info", "POST /v1/completions 200"],
    ["access", "info", "POST /v1/chat/completions 200"],
  ];
  await crafted(page, dash, ({ run, last }) => [
    linesEvent(run, said.map(([kind, level, text], n) => [last + 1 + n, new Date().toISOString(), "stderr", level, "EngineCore", text, [], kind])),
  ]);
  const card = await open(page, dash.url);
  await card.logShows("POST /v1/chat/completions 200");
  await card.logShows("ValueError: the cause");
  for (const folded of ["frame.py", "throughput 1", "first probe", "second probe"]) await card.logLacks(folded);
  await card.logShows("POST /v1/completions 200");
  const trace = card.log.locator(".row", { hasText: "ValueError: the cause" });
  const button = trace.getByRole("button", { name: "2 more lines" });
  await expect(button).toHaveAttribute("aria-expanded", "false");
  // A click on the row unfolds it, the button folds it again.
  await trace.locator(".text").click();
  await card.logShows("frame.py");
  await expect(button).toHaveAttribute("aria-expanded", "true");
  await button.click();
  await card.logLacks("frame.py");
  // The same by key on the selected line; copied is all of it.
  await trace.locator(".time").click();
  expect((await copied(page))?.split("\n").map((line) => line.split("EngineCore ")[1])).toEqual(
    ["Traceback (most recent call last):", '  File "/x/frame.py", line 1, in <module>', "ValueError: the cause", undefined],
  );
  await card.log.focus();
  await page.keyboard.press("Enter");
  await card.logShows("frame.py");
  await page.keyboard.press("Enter");
  await card.logLacks("frame.py");
  // A match in what is folded is counted, and gone to.
  await searchbox(page).fill("frame.py");
  await expect(matches(page)).toHaveText("1 match");
  await searchbox(page).press("Enter");
  await card.logShows("frame.py");
  await searchbox(page).fill("");

  await expect(page.locator("#log-hidden")).toHaveText(/^\d+ hidden$/);
  expect(parseInt(await page.locator("#log-hidden").innerText()), "probes of the dashboard itself come on top").toBeGreaterThanOrEqual(2);
  await card.checkbox("Probes").check();
  await card.logShows("second probe");
  await card.logShows("throughput 1");
  await expect(page.locator("#log-hidden")).toHaveText("");
  await card.checkbox("Probes").uncheck();
  await menu(page).click();
  await page.getByRole("checkbox", { name: "Fold lines of one kind" }).uncheck();
  await page.keyboard.press("Escape");
  await card.log.focus();
  await page.keyboard.press("End");
  await card.logShows("throughput 1");
});

test("a line of JSON is laid out on demand, by mouse and by key", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", `{"big":12345678901234567890,"list":[1,{"a":"<b>"}]}\n[not json]\nbehind it\n`);
  await card.logShows("behind it");
  const button = card.log.getByRole("button", { name: "JSON" });
  await expect(button).toHaveCount(1);
  await expect(button).toHaveAttribute("aria-expanded", "false");
  await button.click();
  await card.logShows('"big": 12345678901234567890,');
  const laid = (await card.log.locator(".row .text").allInnerTexts()).map((text) => text.trimEnd());
  expect(laid.slice(laid.indexOf("{"), laid.indexOf("behind it"))).toEqual([
    "{", '  "big": 12345678901234567890,', '  "list": [', "    1,", "    {", '      "a": "<b>"', "    }", "  ]", "}", "[not json]",
  ]);
  await expect(button).toHaveAttribute("aria-expanded", "true");
  await button.press("Enter");
  await card.logLacks('"big": 12345678901234567890');
  await expect(card.log.locator("b")).toHaveCount(0);
});

test("wrapping, times and density are chosen, and kept over a reload, by the server as well", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", `${info(`long ${"0123456789".repeat(60)} end of it`)}\nbehind the long one\n`);
  await card.logShows("behind the long one");
  const overflows = () => card.log.evaluate((log) => log.scrollWidth - log.clientWidth);
  const seq = await card.log.locator(".row", { hasText: "0123456789" }).getAttribute("data-seq");
  const long = card.log.locator(`[data-seq="${seq}"]`);
  await expect(long).toHaveCount(1);
  expect(await overflows()).toBeGreaterThan(100);

  await menu(page).click();
  await page.getByRole("checkbox", { name: "Wrap long lines" }).check();
  await expect.poll(() => long.count()).toBeGreaterThan(3);
  expect(await overflows()).toBe(0);
  const text = (await long.locator(".text").allInnerTexts()).join("");
  expect(text).toBe(`[a.py:1] long ${"0123456789".repeat(60)} end of it`);
  // The rows are as high as others, and end where the view does.
  for (const row of await long.all()) {
    const box = await row.locator(".text").boundingBox();
    const view = await card.log.boundingBox();
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual((view?.x ?? 0) + (view?.width ?? 0));
  }

  await page.getByRole("combobox", { name: "Times" }).selectOption({ label: "Since the start" });
  await expect(card.log.locator(".row .time").last()).toHaveText(/^0:0\d:\d\d\s*$/);
  await page.getByRole("checkbox", { name: "Compact rows" }).check();
  await expect.poll(async () => (await card.log.locator(".row").last().boundingBox())?.height).toBe(16);
  await expect.poll(async () => (await page.context().cookies()).find((cookie) => cookie.name === "log")?.value).toBe("wrap.relative.compact");

  const html = await page.context().request.get(dash.url);
  expect(await html.text()).toMatch(/<section[^>]* class="log-window wrap relative compact"/);
  await page.reload();
  await expect(page.locator("#log.painted")).toBeVisible();
  await expect.poll(() => long.count()).toBeGreaterThan(3);
  await expect(card.log.locator(".row .time").last()).toHaveText(/^0:0\d:\d\d\s*$/);

  await menu(page).click();
  await expect(page.getByRole("checkbox", { name: "Wrap long lines" })).toBeChecked();
  await page.getByRole("combobox", { name: "Times" }).selectOption({ label: "None" });
  await expect(card.log.locator(".row .time").first()).toBeHidden();
  // A wider view has fewer rows for it.
  const count = await long.count();
  await page.setViewportSize({ width: 1700, height: 900 });
  await expect.poll(() => long.count()).toBeLessThan(count);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("combobox", { name: "Times" })).toBeHidden();
});

test("keys and buttons jump to the start, the end and to errors", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const lines = Array.from({ length: 600 }, (_, n) =>
    n % 200 === 100 ? `(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1] broken at ${n}` : info(`fine ${n}`),
  );
  await dash.sim.write("stdout", [...lines, ""].join("\n"));
  await card.logShows("fine 599");
  const follow = page.getByRole("button", { name: "Follow", exact: true });
  await card.log.focus();
  await page.keyboard.press("Home");
  await expect(follow).toHaveAttribute("aria-pressed", "false");
  await expect.poll(() => scrollTop(card)).toBeLessThan(25);
  for (const wanted of [100, 300, 500, 100]) {
    await page.keyboard.press("e");
    await expect(chosen(card)).toContainText(`broken at ${wanted}`);
    await expect(chosen(card)).toBeInViewport();
  }
  await page.keyboard.press("E");
  await expect(chosen(card)).toContainText("broken at 500");
  await menu(page).click();
  await page.getByRole("button", { name: "Previous error" }).click();
  await expect(chosen(card)).toContainText("broken at 300");
  await page.getByRole("button", { name: "Next error" }).click();
  await expect(chosen(card)).toContainText("broken at 500");
  await card.log.focus();
  await page.keyboard.press("End");
  await expect(follow).toHaveAttribute("aria-pressed", "true");
  await card.logShows("fine 599");
});

test("lines are selected beyond the screen and copied as clean text", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const lines = Array.from({ length: 500 }, (_, n) => info(`\x1b[31mline\x1b[0m number ${n}`));
  await dash.sim.write("stdout", [...lines, ""].join("\n"));
  await card.logShows("line number 499");
  const row = (n: number) => card.log.locator(".row", { hasText: new RegExp(`number ${n}$`) });
  await row(495).locator(".time").click();
  await expect(chosen(card)).toHaveCount(1);
  await row(498).locator(".time").click({ modifiers: ["Shift"] });
  await expect(chosen(card)).toHaveCount(4);
  const four = (await copied(page)) ?? "";
  expect(four.trimEnd().split("\n")).toEqual([495, 496, 497, 498].map((n) => expect.stringMatching(new RegExp(`^\\d\\d:\\d\\d:\\d\\d INFO APIServer \\[a\\.py:1\\] line number ${n}$`))));

  await card.log.focus();
  await page.keyboard.press("Shift+ArrowUp");
  await expect(chosen(card)).toHaveCount(3);
  await page.keyboard.press("Escape");
  await expect(chosen(card)).toHaveCount(0);

  // All of them, though the page holds some dozens.
  await searchbox(page).fill("line number");
  await page.getByRole("button", { name: "Only matches" }).click();
  await expect(matches(page)).toHaveText("500 matches");
  await card.log.focus();
  await page.keyboard.press("ControlOrMeta+A");
  const all = (await copied(page)) ?? "";
  expect(all.trimEnd().split("\n").map((line) => Number(/(\d+)$/.exec(line)?.[1]))).toEqual(Array.from({ length: 500 }, (_, n) => n));
  expect(await card.log.locator(".row").count()).toBeLessThan(200);

  // What is marked natively is copied as it is marked.
  await page.keyboard.press("Escape");
  await row(499).locator(".text").dblclick();
  expect(await copied(page)).toBeFalsy();
});

test("a line has a link, and a search in a field stays a search", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.sim.write("stdout", `${info("linked words")}\n`);
  await card.logShows("linked words");
  const link = page.getByRole("link", { name: "Link to this line" });
  await expect(link).toBeHidden();
  await card.log.locator(".row", { hasText: "linked words" }).locator(".time").click();
  await expect(link).toHaveAttribute("href", /^\/services\/vllm\?run=\d+&line=\d+$/);
  await searchbox(page).fill("a&b");
  await expect(link).toHaveAttribute("href", /&q=a%26b$/);
  // Letters typed into a field are letters.
  await searchbox(page).press("End");
  await searchbox(page).pressSequentially("eEnN/");
  await expect(searchbox(page)).toHaveValue("a&beEnN/");
});

test("missing lines are fetched into their place, and what cannot be had says so", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const logs = await crafted(page, dash, ({ run, last }) => [
    `event: gap\ndata: {"run":${run},"after":${last},"count":60}`,
    linesEvent(run, [[last + 61, new Date().toISOString(), "stdout", "info", "APIServer", "behind the gap"]]),
  ]);
  const card = await open(page, dash.url);
  await card.logShows("behind the gap");
  await card.logShows(/\d+ lines skipped/);
  const text = Array.from({ length: 30 }, (_, n) => info(`in the gap ${n}`));
  await dash.sim.write("stdout", [...text, ""].join("\n"));
  const known = async () => (await dash.ask(`/api/services/vllm/logs?q=in the gap 29`.replaceAll(" ", "%20"))).body;
  await expect.poll(known).toContain("in the gap 29");
  await card.log.getByRole("button", { name: "Fetch them" }).click();
  await card.logShows("in the gap 0");
  await card.logShows("in the gap 29");
  await card.logShows(/\d+ lines skipped/);
  expect(logs.run).toBeGreaterThan(0);
  expect((await rows(card)).findIndex((row) => row.includes("in the gap 29"))).toBeLessThan((await rows(card)).findIndex((row) => row.includes("behind the gap")));
  await card.log.getByRole("button", { name: "Fetch them" }).click();
  await card.logShows(/\d+ lines skipped; they cannot be had any more/);
  await expect(card.log.getByRole("button", { name: "Fetch them" })).toHaveCount(0);
});
