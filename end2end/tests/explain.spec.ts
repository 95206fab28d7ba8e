// A log from anywhere: pasted, as a file, through the API and on the command line, with and without JavaScript.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { root } from "../harness/docker.ts";
import { expect, test } from "./fixtures.ts";

const recording = (name: string) => `${root}/server/tests/recordings/${name}`;
const kvCache = () => readFileSync(recording("f_kv_cache_too_small.stdout"), "utf8") + readFileSync(recording("f_kv_cache_too_small.stderr"), "utf8");

for (const javaScriptEnabled of [true, false])
  test(`a pasted log is explained ${javaScriptEnabled ? "with" : "without"} JavaScript`, { tag: "@no-engine" }, async ({ browser, dashboard }) => {
    const dash = await dashboard({ env: { VLLM_RUNTIME: "demo" } });
    const context = await browser.newContext({ javaScriptEnabled });
    const page = await context.newPage();
    await page.goto(dash.url);
    await page.getByRole("link", { name: "Explain a log" }).click();
    await page.getByLabel("Paste the log").fill(kvCache());
    await page.getByRole("button", { name: "Explain" }).click();
    const result = page.getByRole("region", { name: "Explanation" });
    await expect(result).toContainText("It failed.");
    await expect(result).toContainText(/KV cache/);
    await expect(result.getByRole("group", { name: "The lines that show it" })).toContainText("No available memory for the cache blocks");
    await expect(result.getByRole("list", { name: "Phases of the start" })).toContainText("Loading weights");
    await expect(result.getByRole("button")).toHaveCount(0);
    await context.close();
  });

test("a file is explained, in Russian, too", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const dash = await dashboard({ env: { VLLM_RUNTIME: "demo" } });
  await page.context().addCookies([{ name: "lang", value: "ru", url: dash.url }]);
  await page.goto(`${dash.url}/explain`);
  await page.locator('input[type="file"]').setInputFiles(recording("f_bad_flag.stderr"));
  await page.getByRole("button", { name: "Объяснить" }).click();
  await expect(page.getByRole("region", { name: "Объяснение" })).toContainText("Этот vLLM не знает аргумента: --no-such-flag");
});

test("the page, the API and the command line tell the same", { tag: "@no-engine" }, async ({ dashboard }) => {
  const dash = await dashboard({ env: { VLLM_RUNTIME: "demo" } });
  const log = kvCache();
  const answer = JSON.parse((await dash.ask("/api/explain", { method: "POST", body: log })).body) as Record<string, unknown>;
  const binary = process.env["SERVICES_BINARY"] ?? `${root}/target/release/server`;
  const printed = JSON.parse(execFileSync(binary, ["explain", "--json", "-"], { input: log, encoding: "utf8" })) as Record<string, unknown>;
  expect(answer).toEqual(printed);
  expect(printed).toMatchObject({ outcome: "failed", cause: "kv-cache-too-small" });
  expect(execFileSync(binary, ["explain", recording("f_bad_flag.stderr")], { encoding: "utf8" })).toContain("--no-such-flag");
});

test("what is no form gets an answer in words", { tag: "@no-engine" }, async ({ dashboard }) => {
  const dash = await dashboard({ env: { VLLM_RUNTIME: "demo" } });
  const answer = await dash.ask("/explain", { method: "POST", body: "x" });
  expect(answer.status).toBe(400);
  expect(answer.body).toContain("a log or a file is wanted");
});
