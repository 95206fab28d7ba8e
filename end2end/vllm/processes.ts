// The processes of a real vLLM: it renames its children, so that only the process group tells whose they are.
import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  pid: number;
  group: number;
  /** `vllm`, `VLLM::EngineCor`, `VLLM::Worker`: at most 15 letters. */
  name: string;
  command: string;
  residentMib: number;
}

/** Every living process that can be read. */
function all(): Process[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      // Behind the program's name, which may hold anything: state, parent, group.
      const [state, , group] = stat.replace(/^.*\) /s, "").split(" ");
      if (state === "Z" || state === "X") return [];
      return [{
        pid: Number(name),
        group: Number(group),
        name: stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")),
        command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " "),
        residentMib: Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1] ?? 0) / 1024),
      }];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

/** The process group of the `vllm serve` on this port; undefined when there is none. */
export function groupOnPort(port: number): number | undefined {
  const serves = (one: Process) => /\bserve\b/.test(one.command) && one.command.includes(`--port ${port}`);
  // The shim's command line repeats the one that it runs.
  return all().find((one) => serves(one) && !one.command.includes(" shim --dir "))?.group;
}

/** The living members of a group. */
export const members = (group: number | undefined) => all().filter((one) => one.group === group);
