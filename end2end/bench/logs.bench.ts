// What `make bench-logs` prints: how lines get from a container to those who look. Each section can be run alone: ARGS="sse",
// "page", "viewers", "run". The container, the engine, our server, the readers and Chromium share the machine's cores, so each figure
// is followed by what everybody used. FULL=1: the largest flood for 60 s, and the whole window read back.
//   SECONDS_EACH=15   how long a flood lasts
//   RATES="5000 20000 50000"   lines per second, of the page
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { socket } from "../harness/docker.ts";
import { sleep, until } from "../harness/net.ts";
import { open, test } from "../tests/fixtures.ts";
import { watchMachine } from "./machine.ts";
import { quantile, quantiles, resident, say, used } from "./print.ts";

const FULL = process.env["FULL"] === "1";
const SECONDS = Number(process.env["SECONDS_EACH"] ?? 15);
const RATES = (process.env["RATES"] ?? "5000 20000 50000").split(" ").map(Number);

test.describe.configure({ timeout: 900_000 });

interface Report {
  number: Float64Array;
  written: Float64Array;
  time: Float64Array;
  pieces: number;
  doubled: number;
  missing: number;
  gap: number;
  events: number;
}

/** A helper of this folder in a process of its own, once it has begun. */
async function helper(program: string, ...args: string[]): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, program), args, { serialization: "advanced", execArgv: [] });
  await answer(child, "begun", 20_000);
  return child;
}

/** Waits for a message that has this field. */
async function answer<T>(child: ChildProcess, field: string, ms: number): Promise<T> {
  const late = AbortSignal.timeout(ms);
  for (;;) {
    const [message] = (await once(child, "message", { signal: late })) as [Record<string, unknown>];
    if (field in message) return message as T;
  }
}

async function report<T>(child: ChildProcess, field: string): Promise<T> {
  const told = answer<T>(child, field, 120_000);
  child.send("report");
  return told;
}

const speed = ({ time }: Report) => (time.length - 1) / (((time.at(-1) ?? 0) - (time[0] ?? 0)) / 1000);

/** How long each line took since it was written. */
const delays = ({ time, written }: Report) => time.map((at, n) => at - (written[n] ?? Number.NaN));

test("sse: a plain reader beside docker logs -f", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  for (const rate of [5_000, 20_000, 0]) {
    const lines = rate === 0 ? 300_000 : rate * Math.min(SECONDS, 15);
    const theirs = await helper("reader.mjs", "lines", "docker", "-H", socket, "logs", "-f", "--tail", "0", dash.container);
    const ours = await helper("reader.mjs", "events", `${dash.url}/api/stream?logs=vllm&tail=0`);
    await sleep(1000);
    const done = [theirs, ours].map((child) => answer(child, "done", 180_000));
    for (const child of [theirs, ours]) child.send({ last: lines });
    const machine = await watchMachine(dash);
    await dash.sim.flood(lines, rate);
    await Promise.all(done);
    const shares = machine();
    await sleep(500);
    const [peer, our] = await Promise.all([theirs, ours].map((child) => report<Report>(child, "number")));
    if (!peer || !our) throw new Error("no report");
    const what = rate === 0 ? "as fast as the container writes" : `${rate} lines/s`;
    const ratio = (speed(our) / speed(peer)).toFixed(2);
    say(`SSE reader, ${what}`, `${Math.round(speed(our))} lines/s, docker logs -f ${Math.round(speed(peer))}`, `ours/theirs ${ratio} (≥ 0.9)`);
    say("  lines that came of those written", `${our.number.length} of ${lines}, docker logs -f ${peer.number.length}`, `gaps ${our.gap}, dropped ${our.missing}, doubled ${our.doubled} (0)`);
    const arrived = new Map(Array.from(peer.number, (n, at) => [n, peer.time[at] ?? Number.NaN]));
    const later = [...our.number].flatMap((n, at) => (arrived.has(n) ? [(our.time[at] ?? 0) - (arrived.get(n) ?? 0)] : []));
    say("  later than docker logs -f", quantiles(later), rate === 5_000 ? "p99 ≤ 5 ms" : "");
    say("  from written to read", quantiles(delays(our)), `docker logs -f ${quantiles(delays(peer))}`);
    say("  pieces read", `${our.pieces} with ${our.events} events`, `docker logs -f ${peer.pieces}`);
    say("  processors", shares);
  }
});

interface Tap {
  lines: number;
  events: number;
  gaps: number;
  missing: number;
  doubled: number;
  last: number;
  memory: () => number;
  input: number[];
}
interface Shown {
  frames: [number: number, written: number, time: number][];
  stop: () => void;
}
type Watched = Window & { tap: Tap; shown: Shown };

/** Counts what the page's stream brings, by the numbers of its lines, and how long input waits. Runs before the page's own code. */
function tap() {
  const all: Tap = { lines: 0, events: 0, gaps: 0, missing: 0, doubled: 0, last: 0, memory: () => 0, input: [] };
  (window as unknown as Watched).tap = all;
  const take = (id: string, data: string) => {
    const last = Number(id.split(".")[1]);
    const first = Number(/"lines":\[\[(\d+),/.exec(data.slice(0, 60))?.[1]);
    if (all.last > 0 && first <= all.last) all.doubled += all.last + 1 - first;
    else if (all.last > 0) all.missing += first - all.last - 1;
    all.last = last;
    all.lines += last + 1 - first;
    all.events += 1;
  };
  const Native = window.EventSource;
  window.EventSource = class extends Native {
    constructor(url: string | URL, init?: EventSourceInit) {
      super(url, init);
      this.addEventListener("lines", (event: MessageEvent<string>) => take(event.lastEventId, event.data));
      this.addEventListener("gap", (event: MessageEvent<string>) => {
        const gap = JSON.parse(event.data) as { after: number; count: number | null };
        all.gaps += gap.count ?? 1;
        all.last = gap.after + (gap.count ?? 0);
      });
    }
  };
  const remember = (instance: WebAssembly.Instance) => {
    all.memory = () => (instance.exports["memory"] as WebAssembly.Memory | undefined)?.buffer.byteLength ?? 0;
  };
  const streaming = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...args) => {
    const made = await streaming(...args);
    remember(made.instance);
    return made;
  };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (["pointerdown", "pointerup", "click", "keydown"].includes(entry.name)) all.input.push(entry.duration);
  }).observe({ type: "event", durationThreshold: 16, buffered: true } as PerformanceObserverInit);
}

/** Writes down, in the page, when the newest row changes and what it then says. */
function watchRows() {
  const block = document.querySelector("#log-rows");
  if (!block) throw new Error("no rows");
  const frames: Shown["frames"] = [];
  let row: Element | null = null;
  const look = () => {
    if (row !== block.lastElementChild) {
      row = block.lastElementChild;
      observer.disconnect();
      observer.observe(block, { childList: true });
      if (row) observer.observe(row, { childList: true, subtree: true, characterData: true });
    }
    const match = /flood n=(\d+) t=(\d+)/.exec(row?.textContent ?? "");
    const n = Number(match?.[1] ?? 0);
    if (match && n !== frames.at(-1)?.[0]) frames.push([n, Number(match[2]) / 1000, performance.timeOrigin + performance.now()]);
  };
  const observer = new MutationObserver(look);
  observer.observe(block, { childList: true });
  look();
  frames.length = 0;
  (window as unknown as Watched).shown = { frames, stop: () => observer.disconnect() };
}

/** How long lines took to the document: those between two frames lie evenly between their newest lines. */
function toDocument(frames: Shown["frames"]): number[] {
  const all: number[] = [];
  frames.forEach(([n, written, time], at) => {
    const [before, then] = frames[at - 1] ?? [n - 1, written];
    const samples = Math.min(50, n - before);
    for (let one = 1; one <= samples; one++) all.push(time - (then + ((written - then) * one) / samples));
  });
  return all;
}

/** Scrolls through the window and looks whether its lines follow each other: how many were looked at, how many are wrong. */
async function readBack(page: Page, everything: boolean) {
  return page.evaluate(async (all) => {
    const log = document.querySelector<HTMLElement>("[role=log]");
    const block = document.querySelector("#log-rows");
    if (!log || !block) throw new Error("no log");
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const step = log.clientHeight - 40;
    const steps = Math.ceil(log.scrollHeight / step);
    const stride = all ? 1 : Math.max(1, Math.floor(steps / 50));
    const seen = new Set<string>();
    let wrong = 0;
    // Upwards first, so that the view no longer follows.
    log.dispatchEvent(new WheelEvent("wheel", { deltaY: -100 }));
    for (let at = steps - 2; at >= 0; at -= stride) {
      log.scrollTop = at * step;
      await frame();
      await frame();
      let before = 0;
      for (const row of block.children) {
        // Lines of probes between them are not shown.
        const n = Number(/flood n=(\d+)/.exec(row.textContent ?? "")?.[1] ?? 0);
        if (n > 1 && before > 0 && n !== before + 1) wrong += 1;
        if (n > 0) before = n;
        const seq = row.getAttribute("data-seq");
        if (seq) seen.add(seq);
      }
    }
    return { looked: seen.size, wrong };
  }, everything);
}

test("page: Chromium", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await page.addInitScript(tap);
  const card = await open(page, dash.url);
  await card.shows("Running");
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const metrics = async () => {
    const all = new Map((await cdp.send("Performance.getMetrics")).metrics.map((one) => [one.name, one.value]));
    return (name: string) => all.get(name) ?? 0;
  };
  const box = await card.checkbox("DEBUG").boundingBox();
  const follow = page.getByRole("button", { name: "Follow" });
  for (const rate of RATES) {
    const seconds = FULL && rate === Math.max(...RATES) ? 60 : SECONDS;
    const lines = rate * seconds;
    await page.evaluate(watchRows);
    const tapped = () => page.evaluate(() => ({ ...(window as unknown as Watched).tap, wasm: (window as unknown as Watched).tap.memory(), memory: undefined }));
    const [before, tapBefore] = [await metrics(), await tapped()];
    const [begin, machine] = [performance.now(), await watchMachine(dash)];
    await dash.sim.flood(lines, rate);
    // Somebody filters meanwhile, and sees the answer.
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      if (box) await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
      await sleep(1000);
    }
    const newest = () => page.evaluate(() => (window as unknown as Watched).shown.frames.at(-1)?.[0] ?? 0);
    const complete = await until("the last line in the page", 60_000, async () => (await newest()) >= lines).catch(() => false);
    const took = (performance.now() - begin) / 1000;
    const shares = machine();
    const [after, tapAfter] = [await metrics(), await tapped()];
    const frames = await page.evaluate(() => {
      const { frames, stop } = (window as unknown as Watched).shown;
      stop();
      return frames;
    });
    const share = (name: string) => Math.round((100 * (after(name) - before(name))) / took);
    const span = ((frames.at(-1)?.[2] ?? 0) - (frames[0]?.[2] ?? 0)) / 1000;
    const gained = (name: "lines" | "events" | "gaps" | "missing" | "doubled") => tapAfter[name] - tapBefore[name];
    const delays = toDocument(frames);
    say(`page, ${rate} lines/s for ${seconds} s`, quantiles(delays, "ms", 0), `write to document; p95 ≤ 100 ms${complete ? "" : "; LAST LINE NOT SHOWN"}`);
    say("  taken in", `${Math.round((frames.at(-1)?.[0] ?? 0) / span)} lines/s, ${gained("events")} events`, `gaps ${gained("gaps")}, dropped ${gained("missing")}, doubled ${gained("doubled")} (0)`);
    // Waiting for a core counts as busy on the clock, not as its processor time.
    say("  main thread", `${share("ThreadTime")} % of a core; busy ${share("TaskDuration")} % of the time`, `≤ 50 %; script ${share("ScriptDuration")}, style ${share("RecalcStyleDuration")}, layout ${share("LayoutDuration")}`);
    say("  painted", `${(frames.length / span).toFixed(1)} frames/s`);
    const input = tapAfter.input.slice(tapBefore.input.length);
    say("  input to the next paint", input.length === 0 ? "below 16 ms" : `p95 ${quantile(input, 0.95)} ms, longest ${Math.max(...input)} ms`, "≤ 100 ms");
    say("  heap", `JS ${(after("JSHeapUsedSize") / 2 ** 20).toFixed(0)} MiB, WASM ${(tapAfter.wasm / 2 ** 20).toFixed(0)} MiB`, "≤ 150 MB");
    say("  processors", shares);
    const held = await page.evaluate(() => Math.round((document.querySelector("[role=log]")?.scrollHeight ?? 0) / (document.querySelector("#log-rows > *")?.getBoundingClientRect().height ?? 1)));
    const { looked, wrong } = await readBack(page, FULL);
    say("  rows held", `${held}; ${looked} looked at, ${wrong} out of order`, "100,000");
    if ((await follow.getAttribute("aria-pressed")) !== "true") await follow.click();
    await sleep(1000);
  }
});

interface Viewers {
  viewers: { lines: number; events: number; bytes: number; gaps: number; missing: number; doubled: number; flood: number }[];
  delays: Uint32Array;
}

/** A quantile of counts per millisecond. */
function late(counts: Uint32Array, share: number): number {
  const all = counts.reduce((sum, n) => sum + n, 0);
  let sum = 0;
  return counts.findIndex((n) => (sum += n) >= all * share);
}

test("viewers: 1, 10 and 50", async ({ dashboard }) => {
  const dash: Dashboard = await dashboard({ image: INSTANT });
  await dash.running();
  const lines = 5_000 * SECONDS;
  // As the page asks; the last ones as a program does, which wants each line at once.
  for (const [count, every] of [[1, "&every=50"], [10, "&every=50"], [50, "&every=50"], [50, ""]] as const) {
    const child = await helper("viewers.mjs", String(count), `${dash.url}/api/stream?logs=vllm&tail=0${every}`);
    await sleep(1000);
    const done = answer(child, "done", SECONDS * 1000 + 60_000).catch(() => undefined);
    child.send({ last: lines });
    const machine = await watchMachine(dash);
    const [usedBefore, begin] = [used(dash), performance.now()];
    await dash.sim.flood(lines, 5_000);
    await done;
    const [seconds, busy, shares] = [(performance.now() - begin) / 1000, used(dash) - usedBefore, machine()];
    const memory = resident(dash);
    const { viewers, delays } = await report<Viewers>(child, "viewers");
    const sum = (field: "events" | "bytes" | "gaps" | "missing" | "doubled") => viewers.reduce((all, one) => all + one[field], 0);
    const all = viewers.filter((one) => one.flood >= lines && one.gaps === 0 && one.missing === 0).length;
    say(`${count} viewer${count > 1 ? "s" : ""} at 5,000 lines/s${every ? "" : ", unpaced"}`, `${all} have all ${lines} lines`, `gaps ${sum("gaps")}, dropped ${sum("missing")}, doubled ${sum("doubled")} (0)`);
    say("  server", `${((100 * busy) / seconds).toFixed(0)} % of a core, ${memory.toFixed(0)} MiB resident`, "≤ 100 %, ≤ 150 MB");
    say("  newest line of an event, since it was written", [0.5, 0.95, 0.99].map((q) => `p${q * 100} ${late(delays, q)}`).join("  ") + " ms", `${Math.round(sum("events") / count / seconds)} events/s each`);
    say("  processors", shares);
    await sleep(1000);
  }
});

test("run: 5 million lines in Chromium", async ({ page, dashboard }) => {
  const long = process.env["LONG_RUN"] ?? "";
  test.skip(long === "", "make bench-logs writes the run");
  const dash = await dashboard({ image: INSTANT });
  await dash.down();
  const run = 900_001;
  await cp(long, join(dash.folder, "state/logs/vllm", String(run)), { recursive: true });
  await dash.up();
  const address = (line: number) => `${dash.url}/services/vllm?run=${run}&line=${line}`;
  // The first time, the file's list of blocks is read.
  for (const what of ["the first time", "again"]) {
    const begin = performance.now();
    await page.goto(address(2_500_000), { waitUntil: "commit" });
    await page.locator(`#past [data-seq="${run}.2500000"]`).waitFor();
    say(`a run of 5 million lines, opened ${what}`, `${Math.round(performance.now() - begin)} ms`, "from the address to the line in the document");
  }
  await page.locator("#past-position").waitFor();
  await sleep(1500);
  const jumps = await page.evaluate(async (run) => {
    const slider = document.querySelector<HTMLInputElement>("#past-position");
    const rows = document.querySelector("#past-rows");
    if (!slider || !rows) throw new Error("no window");
    const times: number[] = [];
    let seed = 4711;
    for (let turn = 0; turn < 100; turn++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      const line = 1_000 + (seed % 4_998_000);
      const begin = performance.now();
      slider.value = String(line);
      slider.dispatchEvent(new Event("change", { bubbles: true }));
      while (!rows.querySelector(`[data-seq="${run}.${line}"]`)) {
        if (performance.now() - begin > 10_000) throw new Error(`line ${line} did not come`);
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      times.push(performance.now() - begin);
    }
    return times;
  }, run);
  say("  jump to any line, to its row", quantiles(jumps, "ms", 0), "≤ 100 ms");
  const scrolled = await page.evaluate(async () => {
    const log = document.querySelector<HTMLElement>("#past");
    const rows = document.querySelector("#past-rows");
    if (!log || !rows) throw new Error("no window");
    const top = () => Number(rows.querySelector("[data-seq]")?.getAttribute("data-seq")?.split(".")[1] ?? 0);
    const frames: number[] = [];
    const [begin, from] = [performance.now(), top()];
    let [last, empty] = [begin, 0];
    while (performance.now() - begin < 15_000) {
      log.scrollTop += log.clientHeight / 3;
      const now = await new Promise<number>((resolve) => requestAnimationFrame(() => resolve(performance.now())));
      frames.push(now - last);
      last = now;
      if (rows.childElementCount === 0) empty += 1;
    }
    return { frames, empty, lines: top() - from };
  });
  say("  scrolled on for 15 s", `${scrolled.lines} lines passed`, `frames ${quantiles(scrolled.frames, "ms", 0)}; without rows ${scrolled.empty}`);
  say("  server", `${resident(dash).toFixed(0)} MiB resident`);
});
