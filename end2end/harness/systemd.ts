// A bus of its own with the stand-in for systemd on it, and a journalctl that reads its journal.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sim = process.env["SERVICES_TEST_SYSTEMD"] ?? "";

async function speaks(child: ChildProcess): Promise<ChildProcess> {
  await Promise.race([
    once(child.stdout!, "data"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`it ended with ${String(code)} without a word`))),
  ]);
  return child;
}

export class Systemd {
  private constructor(
    readonly folder: string,
    readonly bus: ChildProcess,
    readonly manager: ChildProcess,
  ) {}

  /** Units by name; `FOLDER` in them is the folder of the scripts. */
  static async start(units: Record<string, string>, scripts: Record<string, string> = {}): Promise<Systemd> {
    const folder = await mkdtemp(join(tmpdir(), "services-systemd-"));
    const at = (name: string) => join(folder, name);
    await mkdir(at("units"));
    for (const [name, text] of Object.entries(units)) await writeFile(at(`units/${name}.service`), text.replaceAll("FOLDER", folder));
    for (const [name, text] of Object.entries(scripts)) {
      await writeFile(at(name), `#!/bin/sh\n${text}\n`);
      await chmod(at(name), 0o755);
    }
    await writeFile(at("journalctl"), `#!/bin/sh\nexec ${sim} journalctl --sim-journal=${at("journal")} "$@"\n`);
    await chmod(at("journalctl"), 0o755);
    const address = `unix:path=${at("bus")}`;
    const pipes = { stdio: ["ignore", "pipe", "inherit"] as ["ignore", "pipe", "inherit"] };
    const bus = await speaks(spawn("dbus-daemon", ["--session", "--nofork", "--print-address", `--address=${address}`], pipes));
    const manager = await speaks(spawn(sim, ["--bus", address, "--units", at("units"), "--journal", at("journal")], pipes));
    return new Systemd(folder, bus, manager);
  }

  /** What a dashboard needs to find it. */
  get env(): Record<string, string> {
    return { SERVICES_SYSTEMD_BUS: `unix:path=${join(this.folder, "bus")}`, PATH: `${this.folder}:${process.env["PATH"]}` };
  }

  async stop() {
    for (const child of [this.manager, this.bus]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await once(child, "exit");
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
