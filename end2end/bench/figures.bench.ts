// What `make bench` prints. Absolute times drift on shared machines: where there is a peer it is read in the same run.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Page } from "@playwright/test";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { docker, socket } from "../harness/docker.ts";
import { sleep, until } from "../harness/net.ts";
import type { Lines } from "../harness/sse.ts";
import { open, test } from "../tests/fixtures.ts";

const say = (what: string, figure: string, budget = "") => process.stdout.write(`\n    ${what.padEnd(52)} ${figure.padEnd(34)} ${budget}\n`);
const at = (sorted: number[], share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
const quantiles = (values: number[], unit = "ms", digits = 1) => {
  const sorted = [...values].sort((a, b) => a - b);
  return [0.5, 0.95, 0.99].map((q) => `p${q * 100} ${at(sorted, q).toFixed(digits)}`).join("  ") + ` ${unit}`;
};
const resident = (dash: Dashboard) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${dash.pid}/status`, "utf8"))?.[1]) / 1024;
const number = (text: string) => Number(/flood n=(\d+)/.exec(text)?.[1] ?? Number.NaN);

test("first byte", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (let n = 0; n < 300; n++) {
    const begin = performance.now();
    await new Promise<void>((resolve, reject) => {
      http.get(dash.url, { agent, headers: { accept: "text/html" } }, (answer) => {
        if (n >= 20) times.push(performance.now() - begin);
        answer.resume().on("end", resolve);
      }).on("error", reject);
    });
  }
  agent.destroy();
  say("time to first byte of /", quantiles(times, "ms", 2), "p95 ≤ 2 ms");
});

test("memory", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const stream = await dash.stream();
  await stream.next("snapshot");
  await sleep(5_000);
  say("resident, idle with one viewer", `${resident(dash).toFixed(1)} MiB`, "≤ 15 MB");
  await dash.sim.flood(100_000, 20_000);
  await stream.until("the flood", 60_000, () => stream.last.includes("flood n=100000") || undefined);
  await sleep(2_000);
  say("resident, 100,000 lines kept, one viewer", `${resident(dash).toFixed(1)} MiB`, "≤ 60 MB");
  stream.close();
});

/** Processor time that the server has used, in seconds: user and system, of all its threads. */
const used = (dash: Dashboard) => {
  // Behind the name, which may hold anything: the 12th and 13th field from there, in hundredths of a second.
  const fields = readFileSync(`/proc/${dash.pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

test("metrics and GPUs", async ({ dashboard }) => {
  const folder = mkdtempSync(join(tmpdir(), "services-gpu-"));
  const file = join(folder, "machine.json");
  const device = (n: number) => ({ name: "NVIDIA L4", uuid: `GPU-${n}`, pci: `0000:0${n}:00.0`, memory: { total_mib: 24_576, base_mib: 512 }, utilisation_percent: 37, temperature_c: 61, power_mw: 58_400, compute: [{ pid: process.pid, memory_mib: 3072 }] });
  writeFileSync(file, JSON.stringify({ driver_version: "580.65.06", devices: [0, 1, 2, 3].map(device) }));
  const env = { SERVICES_NVML_LIBRARY: process.env["SERVICES_TEST_NVML"] ?? "", NVML_SIM_FILE: file };
  const dash = await dashboard({ image: INSTANT, env });
  await dash.running();
  const share = async (seconds: number) => {
    const before = used(dash);
    await sleep(seconds * 1000);
    return `${(((used(dash) - before) / seconds) * 100).toFixed(2)} % of a core`;
  };
  await sleep(20_000);
  say("processor, running, nobody looks", await share(40));
  const stream = await dash.stream();
  await stream.next("snapshot");
  say("processor, one viewer, metrics and 4 GPUs", await share(40), "< 1 % of a core");
  stream.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Writes down, in the page, when the card's state word changes. */
const watchState = (page: Page) =>
  page.evaluate(() => {
    const status = document.querySelector("article [role=status]");
    const seen: [number, string][] = [];
    Object.assign(window, { seen });
    if (status) new MutationObserver(() => seen.push([Date.now(), status.textContent ?? ""])).observe(status, { subtree: true, childList: true, characterData: true, attributes: true });
  });

test("kill to card", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await watchState(page);
  const fromCall: number[] = [];
  const fromEvent: number[] = [];
  for (let n = 0; n < 15; n++) {
    await card.shows("Running");
    await sleep(500);
    const begin = Date.now();
    await docker("kill", dash.container);
    const shown = await until("Failed on the card", 10_000, () =>
      page.evaluate((since) => (window as unknown as { seen: [number, string][] }).seen.find(([time, word]) => time >= since && word.includes("Failed"))?.[0], begin),
    );
    const died = await docker("events", "--since", String(begin / 1000), "--until", String(Math.ceil(Date.now() / 1000)), "--filter", `container=${dash.container}`, "--filter", "event=die", "--format", "{{.TimeNano}}");
    fromCall.push(shown - begin);
    fromEvent.push(shown - Number(died.split("\n")[0]) / 1e6);
    await dash.command("start");
  }
  say("`docker kill` called to the browser's card", quantiles(fromCall), "p95 ≤ 200 ms");
  say("  of which after the engine's own event", quantiles(fromEvent));
});

test("stop to card", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await watchState(page);
  const fromEvent: number[] = [];
  for (let n = 0; n < 10; n++) {
    await card.shows("Running");
    const begin = Date.now();
    await dash.command("stop");
    const shown = await until("Stopped on the card", 15_000, () =>
      page.evaluate((since) => (window as unknown as { seen: [number, string][] }).seen.find(([time, word]) => time >= since && word.includes("Stopped"))?.[0], begin),
    );
    const died = await docker("events", "--since", String(begin / 1000), "--until", String(Math.ceil(Date.now() / 1000)), "--filter", `container=${dash.container}`, "--filter", "event=die", "--format", "{{.TimeNano}}");
    fromEvent.push(shown - Number(died.split("\n")[0]) / 1e6);
    await dash.command("start");
  }
  say("Stop of a healthy service: engine's end to the card", quantiles(fromEvent), "≤ 200 ms");
});

/** Reads `docker logs -f` as it comes: when each flood number arrived. */
function follow(container: string) {
  const child = spawn("docker", ["-H", socket, "logs", "-f", "--tail", "0", container], { stdio: ["ignore", "pipe", "ignore"] });
  const arrived: number[] = [];
  let lines = 0;
  createInterface({ input: child.stdout }).on("line", (text) => {
    const n = number(text);
    if (n === n) {
      arrived[n] = performance.now();
      lines += 1;
    }
  });
  return { arrived, count: () => lines, end: () => child.kill() };
}

const rate = (arrived: number[]) => {
  const times = arrived.filter((time) => time !== undefined);
  return (times.length - 1) / ((Math.max(times.at(-1) ?? 0, times.at(-2) ?? 0) - (times[0] ?? 0)) / 1000);
};

test("lines to a reader", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  for (const [what, lines, speed] of [["as fast as the container writes", 200_000, 0], ["at 5,000 lines/s", 25_000, 5_000]] as const) {
    const peer = follow(dash.container);
    // From here on: what the flood before left is not counted.
    const now = await dash.stream();
    const { logs } = await now.next<{ logs: { run: number; last: number } }>("snapshot");
    now.close();
    const stream = await dash.stream(`?logs=vllm&after=${logs.run}.${logs.last}`);
    await stream.next("snapshot");
    await sleep(500);
    const ours: number[] = [];
    let seen = 0;
    const collect = () => {
      const now = performance.now();
      for (; seen < stream.events.length; seen++) {
        const one = stream.events[seen];
        if (one?.event === "lines") for (const line of (one.data as Lines).lines) {
          const n = number(line[5]);
          if (n === n) ours[n] = now;
        }
      }
      return ours.length > lines || undefined;
    };
    void dash.sim.flood(lines, speed);
    await stream.until("the flood", 120_000, collect);
    await until("docker logs", 60_000, async () => peer.count() >= lines);
    const skipped = stream.all<{ count: number | null }>("gap").reduce((sum, gap) => sum + (gap.count ?? 0), 0);
    const had = ours.filter((time) => time !== undefined).length;
    say(`SSE reader, ${what}`, `${Math.round(rate(ours))} lines/s, ${had} of ${lines}, gap ${skipped}`);
    say("  docker logs -f in the same run", `${Math.round(rate(peer.arrived))} lines/s`, `ours/theirs ${(rate(ours) / rate(peer.arrived)).toFixed(2)} (≥ 0.9)`);
    if (speed > 0) {
      const later = ours.flatMap((time, n) => (time !== undefined && peer.arrived[n] !== undefined ? [time - (peer.arrived[n] ?? 0)] : []));
      say("  later than docker logs -f", quantiles(later), "p99 ≤ 5 ms");
    }
    peer.end();
    stream.close();
  }
});

test("lines to the page", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const busy = async () => {
    const { metrics } = await cdp.send("Performance.getMetrics");
    return metrics.find((one) => one.name === "TaskDuration")?.value ?? 0;
  };
  for (const speed of [1_000, 5_000, 10_000, 20_000, 50_000]) {
    const lines = speed * 5;
    await page.evaluate(() => {
      const log = document.querySelector("[role=log]");
      const shown: [number, number][] = [];
      Object.assign(window, { shown });
      const look = () => {
        const all = log?.textContent?.match(/flood n=(\d+)/g) ?? [];
        const last = Number(all.at(-1)?.slice(8) ?? 0);
        if (last !== shown.at(-1)?.[0]) shown.push([last, Date.now()]);
        if ((window as unknown as { shown: unknown }).shown === shown) requestAnimationFrame(look);
      };
      look();
    });
    const since = new Date().toISOString();
    const [before, begin] = [await busy(), performance.now()];
    await dash.sim.flood(lines, speed);
    const shown = () => page.evaluate(() => (window as unknown as { shown: [number, number][] }).shown);
    await until("the last line in the page", 60_000, async () => (await shown()).some(([n]) => n === lines)).catch(() => undefined);
    const [after, end] = [await busy(), performance.now()];
    const frames = await shown();
    // When the engine got each line: its own time stamps.
    const stamps = new Map<number, number>();
    for (const line of (await docker("logs", "-t", "--since", since, dash.container)).split("\n")) stamps.set(number(line), Date.parse(line.slice(0, 24).replace(/(\.\d{3})\d*Z?.*/, "$1Z")));
    const delays = frames.flatMap(([n, time]) => (stamps.has(n) ? [time - (stamps.get(n) ?? 0)] : []));
    const complete = frames.some(([n]) => n === lines) ? "last line shown" : "LAST LINE NOT SHOWN";
    say(`page, ${speed} lines/s for 5 s`, quantiles(delays, "ms", 0), `${complete}; main thread ${Math.round((100 * (after - before) * 1000) / (end - begin))}%; wrote ${Math.round(lines / ((end - begin) / 1000))}/s`);
    await sleep(500);
  }
});
