// A disk without room, a clock that jumps, a store that somebody holds: the page says so, services are managed all the same, nobody
// comes in who may not, and afterwards all is as it was.
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { docker } from "../harness/docker.ts";
import { Clock, CLOCK_LIBRARY, holdStore } from "../harness/faults.ts";
import { until } from "../harness/net.ts";
import { filed, send } from "../harness/settings.ts";
import { expect, open, test } from "./fixtures.ts";

const run = promisify(execFile);
const PASSWORD = "correct horse battery";
const ACCOUNT = { SERVICES_ADMIN: "root", SERVICES_ADMIN_PASSWORD: PASSWORD };

/** Signs in by a plain form: the session, or nothing, and what the page says. */
async function signIn(dash: Dashboard): Promise<{ session: string | undefined; said: string }> {
  const body = new URLSearchParams({ name: "root", password: PASSWORD }).toString();
  const answer = await dash.ask("/login", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded", origin: dash.url }, body, timeout: 30_000 });
  const cookies = (answer.headers["set-cookie"] ?? []).map((cookie) => cookie.split(";")[0] ?? "");
  return { session: cookies.find((cookie) => /^services-[^=]+=.+/.test(cookie) && !cookie.includes("device")), said: answer.body };
}

const as = (dash: Dashboard, cookie: string, path: string, method = "GET") => dash.ask(path, { method, headers: { cookie, origin: dash.url }, timeout: 30_000 });
const stateOf = async (dash: Dashboard, cookie: string) => (JSON.parse((await as(dash, cookie, "/api/services/vllm")).body) as { state: { state: string } }).state.state;

async function does(dash: Dashboard, cookie: string, verb: "start" | "stop") {
  expect((await as(dash, cookie, `/api/services/vllm/${verb}`, "POST")).status).toBe(202);
  await until(verb, 45_000, async () => (await stateOf(dash, cookie)) === (verb === "start" ? "running" : "stopped"));
}

test("a state folder without room: services are managed, nobody new comes in, and nothing written is lost", async ({ dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT, accounts: true, env: ACCOUNT });
  await dash.down();
  const state = join(dash.folder, "state");
  await run("mount", ["-t", "tmpfs", "-o", "size=4m,mode=700", "none", state]);
  try {
    await dash.up();
    const { session = "" } = await signIn(dash);
    expect(session).not.toBe("");
    await writeFile(join(state, "other"), Buffer.alloc(4 << 20)).catch(() => undefined);

    await does(dash, session, "start");
    expect((await signIn(dash)).session, "a session that cannot be written is none").toBeUndefined();
    expect((await signIn(dash)).said).toContain("could not be written");
    await until("not ready", 20_000, async () => (await dash.ask("/readyz")).status === 503);
    expect((await dash.ask("/readyz")).body).toContain("the disk is full");
    await does(dash, session, "stop");
    await rm(join(state, "other"));
    await until("ready again", 20_000, async () => (await dash.ask("/readyz")).status === 200);
    expect((await signIn(dash)).session).toBeDefined();
    const audit = (await as(dash, session, "/api/audit")).body;
    for (const action of ["start", "stop"]) expect(audit, "what was done meanwhile is in the audit").toMatch(new RegExp(`"action":"${action}"[^\n]*"done"`));

    // And read-only, as a file system is that met an error when the machine started: it says which folder, and does not start.
    await dash.down();
    await run("mount", ["-o", "remount,ro", state]);
    await expect(dash.up()).rejects.toThrow(/state folder .* cannot be used: Read-only file system/);
    await run("mount", ["-o", "remount,rw", state]);
    await dash.up();
    expect((await as(dash, session, "/api/services/vllm")).status, "signed in as before").toBe(200);
  } finally {
    await dash.down();
    await run("umount", [state]);
  }
});

test("settings in a folder without room, or that can only be read: a save says so, and leaves the file whole", async ({ dashboard }) => {
  test.slow();
  const { dash, text } = await filed(dashboard);
  await dash.down();
  const folder = join(dash.folder, "settings");
  await mkdir(folder);
  await run("mount", ["-t", "tmpfs", "-o", "size=64k", "none", folder]);
  try {
    await writeFile(join(folder, "services.toml"), text);
    dash.env["SERVICES_CONFIG"] = join(folder, "services.toml");
    await dash.up();
    const save = async () => (await send(dash, { GPU_MEMORY_UTILIZATION: "0.7" })).body;
    const same = async () => {
      expect(await readFile(join(folder, "services.toml"), "utf8"), "the old one, whole").toBe(text);
      expect((await readdir(folder)).filter((name) => name.includes(".new"))).toEqual([]);
    };
    await writeFile(join(folder, "other"), Buffer.alloc(128 << 10)).catch(() => undefined);
    expect(await save()).toContain("No space left on device");
    await same();
    await run("mount", ["-o", "remount,ro", folder]);
    expect(await save()).toContain("Read-only file system");
    await same();
    await dash.running();
    await run("mount", ["-o", "remount,rw", folder]);
    await rm(join(folder, "other"));
    expect(await save()).toContain("Saved.");
    expect(await readFile(join(folder, "services.toml"), "utf8")).toBe(text.replace("gpu_memory_utilization = 0.5 # half", "gpu_memory_utilization = 0.7 # half"));
  } finally {
    await dash.down();
    await run("umount", [folder]);
  }
});

test("the page says that somebody holds the store, and no more once it is free", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  const told = page.getByText("What Services must remember cannot be written");
  await expect(told).toBeHidden();
  const letGo = await holdStore(dash);
  try {
    await card.button("Start").click();
    await expect(told).toBeVisible({ timeout: 20_000 });
    await expect(told).toContainText("another program has locked it");
    await card.shows("Running");
  } finally {
    await letGo();
  }
  await expect(told).toBeHidden({ timeout: 20_000 });
  await until("its run", 20_000, async () => (await dash.service()).run !== null);
});

test("a clock that jumps: sessions, uptimes, restarts and lines take no harm", async ({ dashboard }) => {
  test.slow();
  if (CLOCK_LIBRARY === "") {
    if (process.env["CI"] === "true") throw new Error("CI=true skips nothing, and there is no libfaketime");
    test.skip(true, "no libfaketime");
  }
  const folder = join(process.env["TMPDIR"] ?? "/tmp", `services-clock-${process.pid}`);
  const clock = new Clock(folder);
  try {
    const dash = await dashboard({ image: INSTANT, accounts: true, env: { ...ACCOUNT, ...clock.env }, toml: '[[service]]\nname = "vllm"\nauto_start = true\n' });
    const { session = "" } = await signIn(dash);
    await until("it runs", 45_000, async () => (await stateOf(dash, session)) === "running");
    const service = async () => JSON.parse((await as(dash, session, "/api/services/vllm")).body) as { uptime_s: number; started: string; run: number };
    const { started, run: number } = await service();
    const HOUR = 3_600;
    for (const hours of [5, -5, 30, -20, 0]) {
      clock.jump(hours * HOUR);
      await dash.sim.flood(50);
      expect((await as(dash, session, "/api/services/vllm")).status, `still signed in, ${hours} h away`).toBe(200);
      const now = await service();
      expect(now.uptime_s).toBeGreaterThanOrEqual(0);
      expect(now.started, "it was started when it was").toBe(started);
    }
    const lines = async () => (await as(dash, session, `/api/services/vllm/logs?run=${number}&q=flood&limit=10000`)).body.split("\n").filter((line) => line.includes("flood n=")).length;
    await until("the lines", 20_000, async () => (await lines()) >= 250);
    expect(await lines(), "each once").toBe(250);

    // Killed while the clock goes back: what is kept running comes back after seconds of true time.
    await docker("kill", dash.container);
    clock.jump(-8 * HOUR);
    await until("it runs again", 45_000, async () => (await stateOf(dash, session)) === "running" && (await service()).run > number);

    // Half a year ahead the session is over; the one that is made there is none when the clock is right again.
    clock.jump(180 * 24 * HOUR);
    expect((await as(dash, session, "/api/services/vllm")).status).toBe(401);
    const { session: ahead = "" } = await signIn(dash);
    expect((await as(dash, ahead, "/api/services/vllm")).status).toBe(200);
    clock.jump(0);
    expect((await as(dash, ahead, "/api/services/vllm")).status, "it would live for half a year and a month").toBe(401);
    expect((await signIn(dash)).session, "and nobody is locked out").toBeDefined();
  } finally {
    clock.remove();
  }
});
