// What `make bench` prints beside logs.bench.ts. Absolute times drift on shared machines: where there is a peer it is read in the
// same run.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { INSTANT } from "../harness/dashboard.ts";
import { docker } from "../harness/docker.ts";
import { sleep, until } from "../harness/net.ts";
import { open, test } from "../tests/fixtures.ts";
import { quantiles, resident, say, used } from "./print.ts";


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
