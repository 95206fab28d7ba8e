// The GPUs, by a stand-in for the driver's library: what each does, who holds its memory, and whether a stop gave it back.
import { readFile, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INSTANT } from "../harness/dashboard.ts";
import { sleep, until } from "../harness/net.ts";
import { expect, open, test as base } from "./fixtures.ts";

interface Gpu {
  env: Record<string, string>;
  says: (machine: object) => Promise<void>;
  calls: () => Promise<number>;
}

const test = base.extend<{ gpu: Gpu }>({
  gpu: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), "services-gpu-"));
    const [file, calls] = [join(folder, "machine.json"), join(folder, "calls")];
    const says = (machine: object) => writeFile(file, JSON.stringify(machine));
    await says(card([]));
    const env = { SERVICES_NVML_LIBRARY: process.env["SERVICES_TEST_NVML"] ?? "", NVML_SIM_FILE: file, NVML_SIM_CALLS: calls };
    await use({ env, says, calls: async () => (await readFile(calls, "utf8").catch(() => "")).split("\n").length });
    rmSync(folder, { recursive: true, force: true });
  },
});

const GIB = 1024;

function card(compute: object[], more: object = {}) {
  return {
    driver_version: "580.65.06",
    devices: [
      {
        name: "NVIDIA L4",
        uuid: "GPU-5c8b",
        pci: "0000:01:00.0",
        memory: { total_mib: 24 * GIB, base_mib: 512 },
        utilisation_percent: 37,
        temperature_c: 61,
        power_mw: 58_400,
        power_limit_mw: 72_000,
        compute,
        ...more,
      },
    ],
  };
}

test("a device shows its memory, load, temperature and power, and who holds its memory", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: gpu.env });
  await gpu.says(card([{ cmdline: `${dash.enginePort}-nobody`, memory_mib: 1 }, { pid: process.pid, memory_mib: 3 * GIB }]));
  await dash.running();
  const engine = await until("the engine's PID", 10_000, async () => Number(await pidIn(dash.container)) || false);
  await gpu.says(card([{ pid: engine, memory_mib: 11 * GIB }, { pid: process.pid, memory_mib: 3 * GIB }]));
  const view = await open(page, dash.url);
  const panel = page.getByRole("region", { name: "GPUs" });
  await expect(panel).toContainText("NVIDIA L4");
  await expect(panel).toContainText("37% busy · 61 °C · 58 of 72 W", { timeout: 15_000 });
  await expect(panel).toContainText("14.5 of 24.0 GiB", { timeout: 15_000 });
  const holders = panel.getByRole("list", { name: "Who holds its memory" }).getByRole("listitem");
  await expect(holders.nth(0)).toContainText(new RegExp(`vLLM.*PID ${engine}.*11.0 GiB`));
  await expect(holders.nth(1)).toContainText(new RegExp(`others.*PID ${process.pid}.*3.0 GiB`));
  await expect(view.value("GPU memory")).toContainText("11.0 of 24.0 GiB");
  expect((await dash.service()).gpu_memory_bytes).toBe(11 * 2 ** 30);
});

test("a driver of another version, a lost device and no device are said in words", async ({ page, gpu, dashboard }) => {
  await gpu.says({ init: "lib-rm-version-mismatch" });
  const dash = await dashboard({ image: INSTANT, env: gpu.env });
  await open(page, dash.url);
  const panel = page.getByRole("region", { name: "GPUs" });
  await expect(panel).toContainText("The GPU driver was updated, and the old one is still loaded.");

  await gpu.says(card([], { memory: "gpu-is-lost" }));
  await dash.down();
  await dash.up();
  await page.reload();
  await expect(panel).toContainText("lost: it fell off the bus or needs a reset", { timeout: 15_000 });

  await gpu.says({ devices: [] });
  await dash.down();
  await dash.up();
  await page.reload();
  await expect(panel).toContainText("The GPU driver is here and sees no device.", { timeout: 15_000 });
});

test("nobody looks, nothing is read", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: gpu.env });
  await open(page, dash.url);
  await until("readings", 15_000, async () => (await gpu.calls()) > 20);
  await page.goto("about:blank");
  // The library is closed after a while; from then on there is silence.
  await sleep(20_000);
  const before = await gpu.calls();
  await sleep(6_000);
  expect(await gpu.calls()).toBe(before);
});

test("a stop is over when its GPU memory is back, and says how much", async ({ page, gpu, process }) => {
  const dash = await process(gpu.env);
  await gpu.says(card([{ cmdline: `--port ${dash.enginePort}`, memory_mib: 8 * GIB }]));
  await dash.running();
  const view = await open(page, dash.url);
  await expect(view.value("GPU memory")).toContainText("8.0 of 24.0 GiB", { timeout: 15_000 });
  await view.button("Stop").click();
  await view.shows("Stopped", 45_000);
  await expect(view.article).toContainText("Its GPU memory is back: 8.0 GiB.");
});

test("what still holds GPU memory after a stop is named with PID and size, and can be ended", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: gpu.env });
  await dash.running();
  // A process in the container's control group that does not end with the container.
  const holder = spawn("sleep", ["600"], { stdio: "ignore" });
  const group = readFileSync(`/proc/${await pidIn(dash.container)}/cgroup`, "utf8").split("\n").find((line) => /[0-9a-f]{64}/.test(line));
  const [, controller, path] = group!.split(":");
  writeFileSync(`/sys/fs/cgroup/${controller!.replace(/^name=/, "")}${path}/cgroup.procs`, String(holder.pid));
  await gpu.says(card([{ pid: holder.pid, memory_mib: 6 * GIB }]));
  const view = await open(page, dash.url);
  await expect(view.value("GPU memory")).toContainText("6.0 of 24.0 GiB", { timeout: 15_000 });
  await view.button("Stop").click();
  await view.shows("Stopping");
  await view.shows("Stopped", 60_000);
  await expect(view.article).toContainText(`GPU memory is still held by sleep (PID ${holder.pid}, 6.0 GiB).`);
  expect(holder.exitCode ?? holder.signalCode).toBeNull();
  const gone = once(holder, "exit");
  await view.button("Stop").click();
  await gone;
  await expect(view.article).toContainText("Its GPU memory is back: 6.0 GiB.", { timeout: 15_000 });
});

test("a start that cannot fit shows its plan before, and asks with the numbers", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { ...gpu.env, VLLM_MODEL: "Qwen/Qwen2.5-7B-Instruct" } });
  const view = await open(page, dash.url);
  const plan = view.article.locator("details.plan");
  await expect(plan).toContainText(/It does not fit: \d+\.\d GiB are missing\. A share of 0\.\d\d would do\./, { timeout: 15_000 });
  await plan.locator("summary").click();
  await expect(plan).toContainText("Weights");
  await expect(plan).toContainText("56 KiB");
  await view.button("Start").click();
  const alert = view.article.getByRole("alert");
  await expect(alert).toContainText(/It needs 1\d\.\d GiB of GPU memory and may use 11\.\d GiB\. The start will fail\./);
  await view.shows("Stopped");
  await alert.getByRole("button", { name: "Start anyway" }).click();
  await view.shows("Running", 45_000);
});

test("a plan that fits says how many requests at once, and that others hold the memory when they do", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({
    image: INSTANT,
    env: { ...gpu.env, VLLM_MODEL: "Qwen/Qwen2.5-7B-Instruct", GPU_MEMORY_UTILIZATION: "0.9" },
    toml: '[[service]]\nname = "vllm"\nargs = ["--max-model-len", "4096"]\n',
  });
  const view = await open(page, dash.url);
  const plan = view.article.locator("details.plan");
  await expect(plan).toContainText(/It fits: requests of 4,096 tokens, \d+\.\d at once\./, { timeout: 15_000 });
  await gpu.says(card([{ pid: process.pid, memory_mib: 10 * GIB }]));
  await expect(plan).toContainText(/others hold the GPU's memory: \d+\.\d GiB are missing/, { timeout: 15_000 });
  await view.button("Start").click();
  await expect(view.article.getByRole("alert")).toContainText("others hold the rest");
});

async function pidIn(container: string): Promise<string> {
  const { docker } = await import("../harness/docker.ts");
  return docker("inspect", "--format", "{{.State.Pid}}", container);
}
