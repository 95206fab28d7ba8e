// Who used the processors while something was measured: everything runs on the same few cores.
import { readFileSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { Dashboard } from "../harness/dashboard.ts";
import { inspect, socket } from "../harness/docker.ts";

/** The parts of what is measured, and everybody else. */
const PARTS = ["container", "docker", "server", "chromium page", "chromium rest", "bench", "others"] as const;
type Part = (typeof PARTS)[number];

/** Ticks that processes have used, by number; and those of the whole machine. */
interface Reading {
  processes: Map<number, { parent: number; command: string; ticks: number }>;
  busy: number;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // It has ended meanwhile.
  }
}

function reading(): Reading {
  const processes: Reading["processes"] = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    if (stat === "") continue;
    const fields = stat.replace(/^.*\) /s, "").split(" ");
    processes.set(Number(name), { parent: Number(fields[1]), command: read(`/proc/${name}/cmdline`).replaceAll("\0", " "), ticks: Number(fields[11]) + Number(fields[12]) });
  }
  // user, nice, system, idle, waiting for the disk, interrupts, …
  const all = (/^cpu +(.*)$/m.exec(read("/proc/stat"))?.[1] ?? "").split(" ").map(Number);
  return { processes, busy: all.slice(0, 7).reduce((sum, ticks, n) => (n === 3 || n === 4 ? sum : sum + ticks), 0) };
}

/** Begins to measure; the answer says what each part used, in hundredths of one core. */
export async function watchMachine(dash: Dashboard): Promise<() => string> {
  const main = (await inspect(dash.container))?.State.Pid;
  const engine = dirname(socket.replace("unix://", ""));
  const [before, begin] = [reading(), performance.now()];
  return () => {
    const after = reading();
    const seconds = (performance.now() - begin) / 1000;
    const known = new Map<number, Part>();
    const part = (pid: number): Part => {
      const found = known.get(pid);
      if (found) return found;
      const one = after.processes.get(pid);
      let is: Part = "others";
      if (one && pid > 1) {
        if (pid === dash.pid) is = "server";
        else if (pid === main) is = "container";
        else if (one.command.includes(engine)) is = "docker";
        else if (pid === process.pid) is = "bench";
        else if (/--type=renderer/.test(one.command) && part(one.parent) === "chromium rest") is = "chromium page";
        else if (/chrom/.test(one.command) && ["bench", "chromium rest"].includes(part(one.parent))) is = "chromium rest";
        else is = part(one.parent);
      }
      known.set(pid, is);
      return is;
    };
    const used = new Map<Part, number>(PARTS.map((name) => [name, 0]));
    let counted = 0;
    for (const [pid, { ticks }] of after.processes) {
      const more = ticks - (before.processes.get(pid)?.ticks ?? 0);
      const who = part(pid);
      if (who === "others") continue;
      used.set(who, (used.get(who) ?? 0) + more);
      counted += more;
    }
    used.set("others", Math.max(0, after.busy - before.busy - counted));
    const shares = PARTS.map((name) => `${name} ${Math.round((used.get(name) ?? 0) / seconds)}`).filter((text) => !text.endsWith(" 0"));
    return `${shares.join(", ")} (% of a core; there are ${availableParallelism()})`;
  };
}
