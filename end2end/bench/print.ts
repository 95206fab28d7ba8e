// How figures are printed, and what is read of a server's process.
import { readFileSync } from "node:fs";
import type { Dashboard } from "../harness/dashboard.ts";

export const say = (what: string, figure: string, budget = "") => process.stdout.write(`\n    ${what.padEnd(52)} ${figure.padEnd(34)} ${budget}\n`);

const at = (sorted: ArrayLike<number>, share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
export const quantile = (values: Iterable<number>, share: number) => at(Float64Array.from(values).sort(), share);
export const quantiles = (values: Iterable<number>, unit = "ms", digits = 1) => {
  const sorted = Float64Array.from(values).sort();
  return [0.5, 0.95, 0.99].map((q) => `p${q * 100} ${at(sorted, q).toFixed(digits)}`).join("  ") + ` ${unit}`;
};

/** Memory that the server holds, in MiB. */
export const resident = (dash: Dashboard) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${dash.pid}/status`, "utf8"))?.[1]) / 1024;

/** Processor time that the server has used, in seconds: user and system, of all its threads. */
export const used = (dash: Dashboard) => {
  // Behind the name, which may hold anything: the 12th and 13th field from there, in hundredths of a second.
  const fields = readFileSync(`/proc/${dash.pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
