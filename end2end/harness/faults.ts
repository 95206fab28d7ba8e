// What can happen to a machine under a dashboard: an engine that hangs, a store that somebody else holds, a clock that jumps.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { dirname, join } from "node:path";
import type { Dashboard } from "./dashboard.ts";
import { socket } from "./docker.ts";

const daemon = () => Number(readFileSync(join(dirname(socket.replace("unix://", "")), "dockerd.pid"), "utf8"));

/** The tests' engine stands still: it is there, and answers nothing. */
export const hang = () => process.kill(daemon(), "SIGSTOP");

/** And goes on. Harmless where it does. */
export function goOn() {
  try {
    process.kill(daemon(), "SIGCONT");
  } catch {
    // It was killed meanwhile: nothing stands still.
  }
}

/** Another program that has the store and does not let go; the one that is returned lets go when it is ended. */
export async function holdStore(dash: Dashboard): Promise<() => Promise<void>> {
  const child: ChildProcess = spawn("sqlite3", [join(dash.folder, "state/services.db")], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin?.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  let said = "";
  for await (const text of child.stdout ?? []) {
    said += String(text);
    if (said.includes("held")) break;
  }
  if (!said.includes("held")) throw new Error("the store could not be taken");
  return async () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
}

/** The library that shows a program another time; empty where there is none. */
export const CLOCK_LIBRARY =
  readdirSync("/usr/lib")
    .map((folder) => `/usr/lib/${folder}/faketime/libfaketime.so.1`)
    .find((path) => existsSync(path)) ?? "";

/** A clock for one dashboard, in a file: what it shows can be changed while it runs. Only the time of day jumps, as in life. */
export class Clock {
  constructor(readonly file: string) {
    this.jump(0);
  }
  get env(): Record<string, string> {
    return { LD_PRELOAD: CLOCK_LIBRARY, FAKETIME_TIMESTAMP_FILE: this.file, FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" };
  }
  /** So many seconds away from the true time. */
  jump(seconds: number) {
    writeFileSync(this.file, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}`);
  }
  remove() {
    rmSync(this.file, { force: true });
  }
}

/** Requests that are begun and not ended: the simulated vLLM keeps a megabyte of each. */
export function fill(port: number, requests: number): http.ClientRequest[] {
  return Array.from({ length: requests }, () => {
    const headers = { "content-length": 1 << 20 };
    const request = http.request({ host: "127.0.0.1", port, method: "POST", path: "/sim/write?stream=stdout", headers, agent: false });
    request.on("error", () => undefined);
    request.write(Buffer.alloc((1 << 20) - 1, "x"));
    return request;
  });
}
