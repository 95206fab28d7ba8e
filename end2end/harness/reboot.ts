// A reboot of the machine, as far as a test may: the dashboard, the tests' engine and all of its containers end and come back.
// The kernel's boot id and its clock go on, and processes that a dashboard runs without an engine are left alone.
import { readdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Dashboard } from "./dashboard.ts";
import { docker, engine, socket } from "./docker.ts";
import { until } from "./net.ts";

/** `shutdown`: everything is asked to end. `power-cut`: nothing gets to write a last word. */
export type How = "shutdown" | "power-cut";

const comm = (pid: number) => readFile(`/proc/${pid}/comm`, "utf8").then((text) => text.trim(), () => "");

/** The shims of this engine alone (they carry its folder in their arguments), and what runs directly below them. */
async function containerProcesses(): Promise<number[]> {
  const mine = `${dirname(socket.replace("unix://", ""))}/containerd.sock`;
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || !(await comm(pid)).startsWith("containerd-shim")) continue;
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (!words.includes(mine)) continue;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
    // The shim first: otherwise it would report how its container ended.
    found.push(pid, ...children.split(" ").filter(Boolean).map(Number));
  }
  return found;
}

/** Ends the tests' engine and every container on it. */
export async function engineDown(how: How) {
  if (how === "shutdown") return void (await engine(["kill-daemon", "TERM"]));
  await engine(["kill-daemon", "KILL"]);
  const processes = await containerProcesses();
  for (const pid of processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has gone with the one above it.
    }
  }
  await until("the containers to be gone", 10_000, async () => (await containerProcesses()).length === 0);
}

export const engineUp = () => engine(["start-daemon"]);

/** For `afterEach`: other tests need the engine as it was, up and without live restore. */
export async function plainEngine() {
  await engine(["kill-daemon", "TERM"]).catch(() => "");
  await engineUp();
}

/**
 * Everything ends, and comes back: the engine first, or the dashboard, as machines boot in either order.
 * `meanwhile` runs while nothing does.
 */
export async function reboot(dashboard: Dashboard, { how = "shutdown", first = "engine", meanwhile }: { how?: How; first?: "engine" | "dashboard"; meanwhile?: () => Promise<void> } = {}) {
  await dashboard.down(how === "shutdown" ? "SIGTERM" : "SIGKILL");
  await engineDown(how);
  await meanwhile?.();
  if (first === "dashboard") await dashboard.up();
  await engineUp();
  if (first === "engine") await dashboard.up();
}

/** What the engine says of a container now: `running`, or `exited 137`; `gone` when there is none. */
export async function containerState(name: string): Promise<string> {
  const line = await docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).catch(() => "gone");
  return line.replace(/^running .*/, "running");
}
