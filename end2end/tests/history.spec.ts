// Every run is kept on disk: read, searched and downloaded from there; a disk that refuses is told, and taken up again.
import { execFile } from "node:child_process";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { docker } from "../harness/docker.ts";
import { sleep, until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

const run = promisify(execFile);
type Line = [seq: number, time: string, stream: string, level: string, source: string, text: string];

const logs = (dash: Dashboard) => join(dash.folder, "state/logs/vllm");
const lines = async (dash: Dashboard, query: string): Promise<Line[]> => {
  const answer = await dash.ask(`/api/services/vllm/logs?${query}`, { timeout: 30_000 });
  expect(answer.status, answer.body.slice(0, 300)).toBe(200);
  return answer.body.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Line);
};
const last = async (dash: Dashboard, run?: number): Promise<number> =>
  (await lines(dash, `limit=1${run === undefined ? "" : `&run=${run}`}`)).at(-1)?.[0] ?? 0;
const runNow = async (dash: Dashboard) => Number((await dash.service()).run ?? 0);
/** Floods, and waits until every line of it is there. */
async function flood(dash: Dashboard, count: number) {
  const before = await last(dash);
  await dash.sim.flood(count);
  await until("all lines of the flood", 60_000, async () => (await last(dash)) >= before + count);
}
const whole = (numbers: number[]) => numbers.every((seq, at) => at === 0 || seq === (numbers[at - 1] ?? 0) + 1);

test("runs of before are kept, over restarts of the dashboard and its sudden death", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const runs: { run: number; count: number }[] = [];
  for (let round = 0; round < 3; round++) {
    await dash.running();
    await flood(dash, 3_000);
    const run = await runNow(dash);
    await dash.command("stop");
    await dash.state("stopped");
    runs.push({ run, count: await last(dash) });
  }
  // The memory has two runs; the first of these is on disk alone.
  await until("the first run's end on disk", 10_000, async () => (await readdir(join(logs(dash), String(runs[0]!.run)))).some((name) => name.endsWith(".seg")));
  await sleep(1_500);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await dash.down(signal);
    await dash.up();
    await dash.state("stopped");
    for (const { run, count } of runs) {
      const all = await lines(dash, `after=${run}.0&limit=100000`);
      expect(all.map(([seq]) => seq), `run ${run} after ${signal}`).toHaveLength(count);
      expect(whole(all.map(([seq]) => seq))).toBe(true);
      expect(all.filter(([, , , , , text]) => text.includes("flood n="))).toHaveLength(3_000);
    }
  }
  const answer = await dash.ask(`/api/services/vllm/logs?run=${runs[0]!.run}&limit=1`);
  expect([answer.headers["x-run"], answer.headers["x-first"], answer.headers["x-last"]]).toEqual([String(runs[0]!.run), "1", String(runs[0]!.count)]);
  expect((await dash.ask("/api/services/vllm/logs?run=999")).status).toBe(404);
});

test("lines written while the dashboard was away are fetched, and none twice", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await flood(dash, 2_000);
  const run = await runNow(dash);
  await dash.down("SIGKILL");
  await dash.sim.flood(2_000);
  await sleep(1_000);
  await dash.up();
  await dash.state("running");
  expect(await runNow(dash)).toBe(run);
  await until("the lines of the time away", 20_000, async () => (await lines(dash, `run=${run}&q=flood&limit=100000`)).length >= 4_000);
  const all = await lines(dash, `after=${run}.0&limit=100000`);
  expect(whole(all.map(([seq]) => seq))).toBe(true);
  const floods = all.map(([, , , , , text]) => text).filter((text) => text.includes("flood n="));
  expect(floods).toHaveLength(4_000);
});

test("the end of a run that was restarted while the dashboard was away is fetched into that run", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await flood(dash, 2_000);
  const before = await runNow(dash);
  // Once away altogether, once only from the engine.
  await sleep(1_200);
  await dash.down("SIGKILL");
  await dash.sim.flood(2_000);
  await sleep(1_000);
  await docker("kill", dash.container);
  await docker("start", dash.container);
  await dash.sim.healthy();
  await dash.sim.flood(1_000);
  await dash.up();
  await until("the run after it", 20_000, async () => (await runNow(dash)) > before);
  const run = await runNow(dash);
  await until("the lines of both", 20_000, async () => (await lines(dash, `run=${run}&q=flood&limit=100000`)).length >= 1_000);
  await sleep(1_200);
  for (const round of ["fetched", "read again"] as const) {
    for (const [number, count] of [[before, 4_000], [run, 1_000]] as const) {
      const all = await lines(dash, `after=${number}.0&limit=100000`);
      expect(whole(all.map(([seq]) => seq)), `run ${number}, ${round}`).toBe(true);
      expect(all.filter(([, , , , , text]) => text.includes("flood n=")), `run ${number}, ${round}`).toHaveLength(count);
      expect(all.filter(([, , , , , text]) => text.includes("Application startup complete")), `run ${number}, ${round}`).toHaveLength(1);
    }
    if (round === "read again") break;
    await dash.down("SIGKILL");
    await dash.up();
    await dash.state("running");
    await sleep(1_500);
  }
});

test("lines are had by number, time, level, stream, words and expression", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.sim.write("stderr", "apple one\nbanana two\n");
  await dash.sim.write("stdout", "(APIServer pid=1) ERROR 11-22 12:00:00 [a.py:1] Apple three\n");
  await until("the lines", 10_000, async () => (await lines(dash, "q=apple")).length === 2);
  const texts = async (query: string) => (await lines(dash, query)).map(([, , , , , text]) => text);
  expect(await texts("q=APPLE")).toEqual(expect.arrayContaining(["apple one", "[a.py:1] Apple three"]));
  expect(await texts("q=apple&levels=error")).toEqual(["[a.py:1] Apple three"]);
  expect(await texts("q=apple&stream=stderr")).toEqual(["apple one"]);
  expect(await texts(`q=${encodeURIComponent("^(apple|banana)")}&regex=1`)).toEqual(["apple one", "banana two"]);
  expect(await texts("q=apple&source=APIServer")).toEqual(["[a.py:1] Apple three"]);
  const [first] = await lines(dash, "q=banana");
  expect(await texts(`around=${first![0]}&limit=3`)).toContain("banana two");
  expect((await lines(dash, `at=${first![1]}&limit=4`)).map(([, time]) => time)).toContain(first![1]);
  expect(await texts(`q=apple&to=${first![1]}`)).not.toContain("banana two");
  for (const [query, said] of [
    ["q=a(&regex=1", "unclosed group"],
    ["levels=loud", "debug, info, warning, error and other"],
    ["stream=middle", "stdout or stderr"],
    ["from=yesterday", "2026-11-22T12:00:00Z"],
    ["limit=0", "from 1 to 100000"],
    ["format=pdf", "jsonl or text"],
    [`q=${"x".repeat(1001)}`, "1000 bytes"],
  ] as const) {
    const answer = await dash.ask(`/api/services/vllm/logs?${query}`);
    expect([answer.status, answer.body], query).toEqual([400, expect.stringContaining(said)]);
  }
});

test("a run or what was found in it is downloaded as text or JSON lines", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await flood(dash, 50_000);
  const run = await runNow(dash);
  const get = (query: string) => dash.ask(`/api/services/vllm/${query}`, { timeout: 60_000 });
  const text = await get("container-logs?download=1");
  expect(text.headers["content-disposition"]).toBe(`attachment; filename="vllm-run-${run}.log"`);
  expect(text.body.match(/ flood n=/g)).toHaveLength(50_000);
  const json = await get("logs?download=1");
  expect(json.headers["content-disposition"]).toBe(`attachment; filename="vllm-run-${run}.jsonl"`);
  const parsed = json.body.trimEnd().split("\n").map((line) => JSON.parse(line) as Line);
  expect(parsed.length).toBe(text.body.trimEnd().split("\n").length);
  expect(whole(parsed.map(([seq]) => seq))).toBe(true);
  const part = await get("logs?download=1&format=text&q=n%3D00000");
  expect(part.body.trimEnd().split("\n").every((line) => line.includes("n=00000"))).toBe(true);
});

test("a search tells hits as it finds them, the latest first, with context, count and timeline", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const runs: number[] = [];
  for (let round = 0; round < 2; round++) {
    await dash.running();
    await dash.sim.write("stdout", `before ${round}\nneedle ${round}\nafter ${round}\n`);
    await until("the lines", 10_000, async () => (await lines(dash, `q=after ${round}`.replace(" ", "%20"))).length === 1);
    runs.push(await runNow(dash));
    await dash.command("stop");
    await dash.state("stopped");
  }
  const answer = await dash.ask("/api/services/vllm/search?run=all&q=needle&context=1");
  const said = answer.body.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  const hits = said.filter((one) => "line" in one) as { run: number; line: Line; before: Line[]; after: Line[] }[];
  expect(hits.map((hit) => [hit.run, hit.line[5]])).toEqual([[runs[1], "needle 1"], [runs[0], "needle 0"]]);
  expect([hits[0]!.before[0]![5], hits[0]!.after[0]![5]]).toEqual(["before 1", "after 1"]);
  const end = said.at(-1)!;
  expect(end).toMatchObject({ done: true, matches: 2, unreadable_blocks: 0, runs_left_out: 0 });
  const { counts } = end["timeline"] as { counts: number[][] };
  expect(counts.flat().reduce((sum, count) => sum + count, 0)).toBe(2);
  expect((await dash.ask("/api/services/vllm/search?q=a(&regex=1")).status).toBe(400);
  expect((await dash.ask("/api/services/nobody/search?q=a")).status).toBe(404);
});

test("a full disk is told, the log goes on from memory, and is written when there is room again", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const folder = join(dash.folder, "state/logs");
  await mkdir(folder, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", "size=8m", "none", folder]);
  try {
    await dash.running();
    const card = await open(page, dash.url);
    await card.logShows("Application startup complete");
    const told = page.getByText("Logs are not written to disk");
    await expect(told).toBeHidden();
    await writeFile(join(folder, "other"), Buffer.alloc(8_350_000)).catch(() => undefined);
    await flood(dash, 5_000);
    await expect(told).toBeVisible({ timeout: 15_000 });
    await expect(told).toContainText("too little room");
    // Service control is unaffected, and the lines are there.
    expect((await lines(dash, "q=flood&limit=100000")).length).toBe(5_000);
    await dash.sim.write("stdout", "said on a full disk\n");
    await card.logShows("said on a full disk");
    await rm(join(folder, "other"));
    await expect(told).toBeHidden({ timeout: 15_000 });
    await dash.command("stop");
    await dash.state("stopped");
    await dash.down();
    await dash.up();
    expect((await lines(dash, "q=flood&limit=100000")).length, "nothing was lost").toBe(5_000);
  } finally {
    await dash.down();
    await run("umount", [folder]);
  }
});

test("a disk that can only be read is told, and the service goes on", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const folder = join(dash.folder, "state/logs");
  await mkdir(folder, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", "size=32m", "none", folder]);
  try {
    await dash.running();
    const card = await open(page, dash.url);
    await card.logShows("Application startup complete");
    await flood(dash, 500);
    const told = page.getByText("Logs are not written to disk");
    await expect(told).toBeHidden();
    // As a file system does that met an error, and comes back read-only with the machine.
    await dash.down();
    await run("mount", ["-o", "remount,ro", folder]);
    await dash.up();
    await dash.state("running");
    await flood(dash, 2_000);
    await expect(told).toBeVisible({ timeout: 15_000 });
    expect((await lines(dash, "q=flood&limit=100000")).length).toBe(2_500);
    await dash.command("stop");
    await dash.state("stopped");
    await run("mount", ["-o", "remount,rw", folder]);
    await expect(told).toBeHidden({ timeout: 15_000 });
    await dash.down();
    await dash.up();
    expect((await lines(dash, "q=flood&limit=100000")).length, "nothing was lost").toBe(2_500);
  } finally {
    await dash.down();
    await run("umount", [folder]);
  }
});

test("files that are damaged or no log at all cost what was in them, and nothing else", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await flood(dash, 1_000);
  const run = await runNow(dash);
  await dash.command("stop");
  await dash.state("stopped");
  await sleep(1_200);
  await dash.down();
  const folder = join(logs(dash), String(run));
  for (const name of await readdir(folder)) await writeFile(join(folder, name), "this is no log\n".repeat(100));
  await mkdir(join(logs(dash), "not-a-run"), { recursive: true });
  await writeFile(join(logs(dash), "4711"), "a file where a run's folder could be");
  await dash.up();
  await dash.running();
  await flood(dash, 1_000);
  expect((await lines(dash, "q=flood&limit=100000")).length).toBe(1_000);
  const answer = await dash.ask("/api/services/vllm/search?run=all&q=flood&limit=1");
  expect(answer.status).toBe(200);
  expect((await dash.ask("/api/services/vllm/logs?run=4711")).status).not.toBe(200);
});
