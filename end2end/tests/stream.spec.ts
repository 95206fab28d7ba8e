// GET /api/stream and the plain endpoints, read by a program that is not a browser.
import { INSTANT, type Service } from "../harness/dashboard.ts";
import { ask, sleep } from "../harness/net.ts";
import { Sse, type Lines, type WireLine } from "../harness/sse.ts";
import { expect, test } from "./fixtures.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

interface Snapshot {
  server_version: string;
  now: string;
  services: Service[];
  gpus: unknown[];
  images: unknown[];
  host: object;
  logs: { service: string; run: number | null; first: number; last: number };
}

/** Every number of a run from the first seen to the last, once each, in order. */
function exactlyOnce(lines: { run: number; line: WireLine }[]) {
  const seqs = lines.map(({ line }) => line[0]);
  expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, i) => (seqs[0] ?? 0) + i));
}
const floods = (lines: { line: WireLine }[]) => lines.filter(({ line }) => line[5].includes("flood n="));

test("the stream begins with a snapshot, then come service, run, lines and ping", async ({ dashboard }) => {
  const dash = await dashboard();
  const stream = await dash.stream();
  expect(stream.headers["content-type"]).toContain("text/event-stream");
  expect(stream.headers["x-accel-buffering"]).toBe("no");
  expect(stream.headers["content-encoding"]).toBeUndefined();
  expect(stream.headers["access-control-allow-origin"]).toBeUndefined();

  const snapshot = await stream.next<Snapshot>("snapshot");
  expect(stream.events[0]?.event).toBe("snapshot");
  expect(snapshot.server_version).toMatch(/\d/);
  expect(snapshot.now).toMatch(TIME);
  expect(snapshot).toMatchObject({ gpus: [], images: [{ reference: "vllm/vllm-openai:latest", pull: null }], logs: { service: "vllm" } });
  expect(snapshot.services[0]).toMatchObject({
    name: "vllm", title: "vLLM", kind: "vllm", runtime: "docker", demo: false, wish: "stopped", model: null,
    uptime_s: null, gpu_memory_bytes: null, image: "vllm/vllm-openai:latest",
  });
  expect(snapshot.services[0]?.state).toMatchObject({ state: "stopped" });

  await dash.command("start");
  const starting = await stream.next<Service>("service", (one) => one.state.state === "starting");
  expect(starting.wish).toBe("running");
  expect(starting.state.since).toMatch(TIME);
  const run = await stream.next<{ service: string; run: number; started: string }>("run");
  expect(run.service).toBe("vllm");
  expect(run.started).toMatch(TIME);
  const running = await stream.next<Service>("service", (one) => one.state.state === "running" && one.model !== null, 45_000);
  expect(running).toMatchObject({ model: "lydia", run: run.run });
  expect(typeof running.uptime_s).toBe("number");

  const lines = await stream.next<Lines>("lines");
  expect(lines.run).toBe(run.run);
  for (const { line } of stream.lines()) {
    expect(line[0]).toBeGreaterThan(0);
    expect(line[1]).toMatch(TIME);
    expect(line[2]).toMatch(/^(stdout|stderr)$/);
    expect(line[3]).toMatch(/^(debug|info|warning|error|other)$/);
    expect(typeof line[4]).toBe("string");
    expect(typeof line[5]).toBe("string");
  }
  for (const one of stream.events) {
    if (one.event !== "lines") expect(one.id, `id of ${one.event}`).toBe("");
    else {
      const { run, lines } = one.data as Lines;
      expect(one.id).toBe(`${run}.${lines.at(-1)?.[0]}`);
    }
  }
  exactlyOnce(stream.lines());
  // Docker's proxy takes connections on a published port before the engine behind it listens.
  expect(stream.all<Service>("service").map((one) => one.port_taken ?? null).filter(Boolean), "nobody else was on the port").toEqual([]);
  const ping = await stream.next<{ now: string }>("ping", undefined, 15_000);
  expect(ping.now).toMatch(TIME);
  stream.close();
});

test("a stream without logs carries no lines", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const stream = await dash.stream("");
  await stream.next("snapshot");
  await dash.running();
  await stream.next<Service>("service", (one) => one.state.state === "running");
  await sleep(500);
  expect(stream.lines()).toEqual([]);
  stream.close();
});

test("a reconnect in the middle of a flood sees every number exactly once", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const seen: { run: number; line: WireLine }[] = [];
  let stream = await dash.stream();
  await stream.next("snapshot");
  await dash.sim.flood(20_000, 10_000);
  // Five cuts, each wherever it falls.
  for (const share of [2_000, 5_000, 9_000, 14_000, 17_000]) {
    await stream.until(`${share} lines`, 30_000, () => seen.length + stream.count >= share || undefined);
    stream.close();
    seen.push(...stream.lines());
    const last = seen.at(-1);
    stream = await dash.stream("?logs=vllm", { "last-event-id": `${last?.run}.${last?.line[0]}` });
  }
  await stream.until("all lines", 30_000, () => stream.last.includes("flood n=020000") || undefined);
  await sleep(300);
  seen.push(...stream.lines());
  expect(stream.all("gap")).toEqual([]);
  stream.close();
  exactlyOnce(seen);
  const numbers = floods(seen).map(({ line }) => Number(/flood n=(\d+)/.exec(line[5])?.[1]));
  expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, i) => i + 1));
});

test("`after` resumes, and Last-Event-ID wins over it", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const { run } = await dash.running();
  await dash.sim.flood(50);
  const first = async (query: string, headers?: Record<string, string>) => {
    const stream = await dash.stream(query, headers);
    const { lines } = await stream.next<Lines>("lines");
    stream.close();
    return lines[0]?.[0];
  };
  expect(await first(`?logs=vllm&after=${run}.10`)).toBe(11);
  expect(await first(`?logs=vllm&after=${run}.10`, { "last-event-id": `${run}.20` })).toBe(21);
});

test("a viewer from before the ring gets a gap with its count, or the lines, never silence", async ({ dashboard }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: INSTANT });
  const { run } = await dash.running();
  await dash.sim.flood(150_000, 0, 200);
  const watcher = await dash.stream("?logs=vllm");
  await watcher.until("the flood's end", 90_000, () => watcher.last.includes("flood n=150000") || undefined);
  watcher.close();

  const stream = await dash.stream(`?logs=vllm&after=${run}.1`);
  await stream.until("the end", 60_000, () => stream.last.includes("flood n=150000") || undefined);
  let at = 1;
  for (const one of stream.events) {
    if (one.event === "gap") {
      const gap = one.data as { run: number; after: number; count: number | null };
      expect(gap).toMatchObject({ run, after: at });
      at += gap.count ?? 0;
    }
    if (one.event === "lines") {
      const { lines } = one.data as Lines;
      expect(lines[0]?.[0], "the first line behind what came before").toBe(at + 1);
      at = lines.at(-1)?.[0] ?? at;
    }
  }
  stream.close();

  // What fell out of the ring is still on disk.
  const kept = (await dash.ask(`/api/services/vllm/logs?run=${run}&after=${run}.1&limit=5`)).body.trim().split("\n");
  expect(kept).toHaveLength(5);
});

test("a place in a run that never was is answered with a gap or from the start, not with a hang", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  for (const after of ["99999.5", "0.0", `1.999999999`]) {
    const stream = await dash.stream(`?logs=vllm&after=${after}`);
    await stream.next("snapshot");
    await dash.sim.flood(3);
    await stream.next("lines");
    stream.close();
  }
});

test("a slow viewer costs the others nothing", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const slow = await dash.stream();
  await slow.next("snapshot");
  slow.pause();
  const quick = await dash.stream();
  await quick.next("snapshot");
  await dash.sim.flood(30_000, 0, 200);
  await quick.until("all lines", 30_000, () => quick.last.includes("flood n=030000") || undefined);
  exactlyOnce(quick.lines());
  quick.close();
  slow.resume();
  await slow.until("the end", 30_000, () => slow.last.includes("flood n=030000") || undefined);
  slow.close();
});

test("viewers that gather lines get all of them, in no more batches", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const { logs } = await (await dash.stream()).next<{ logs: { run: number; last: number } }>("snapshot");
  const place = `?logs=vllm&after=${logs.run}.${logs.last}`;
  const plain = await dash.stream(place);
  const gathering = await Promise.all([1, 2, 3].map(() => dash.stream(`${place}&every=250`)));
  await dash.sim.flood(6_000, 3_000);
  for (const stream of [plain, ...gathering]) await stream.until("the flood", 30_000, () => stream.last.includes("flood n=006000") || undefined);
  for (const stream of [plain, ...gathering]) {
    const seqs = stream.lines().map(({ line }) => line[0]);
    expect(seqs, "each line once, in order").toEqual(seqs.map((_, at) => logs.last + 1 + at));
  }
  const batches = (stream: Sse) => stream.all<Lines>("lines").length;
  for (const stream of gathering) expect(batches(stream), "no more batches than one that gathers nothing").toBeLessThanOrEqual(batches(plain));
  for (const stream of [plain, ...gathering]) stream.close();
});

test("plain endpoints answer with their shapes", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const all = JSON.parse((await dash.ask("/api/services")).body) as Service[];
  expect(all.map((one) => one.name)).toEqual(["vllm"]);
  const accepted = await dash.ask("/api/services/vllm/start", { method: "POST" });
  expect(accepted.status).toBe(202);
  expect(JSON.parse(accepted.body)).toMatchObject({ name: "vllm" });
  await dash.state("running");

  await dash.sim.write("stdout", "WARNING 11-22 12:00:00 [a.py:1] needle one\nINFO 11-22 12:00:00 [a.py:1] needle two\n");
  await expect(async () => {
    const found = (await dash.ask("/api/services/vllm/logs?levels=warning&q=needle")).body.trim().split("\n");
    expect(found).toHaveLength(1);
    expect(found[0]).toContain("needle one");
    JSON.parse(found[0] ?? "");
  }).toPass({ timeout: 10_000 });
});

const problems: [what: string, method: string, path: string, status: number, body?: string][] = [
  ["an unknown service", "GET", "/api/services/nobody", 404],
  ["a command to an unknown service", "POST", "/api/services/nobody/start", 404],
  ["the stream of an unknown service's log", "GET", "/api/stream?logs=nobody", 404],
  ["a name that walks the path", "GET", "/api/services/..%2f..%2fversion", 404],
  ["an unknown verb", "POST", "/api/services/vllm/destroy", 404],
  ["an unknown address under /api", "GET", "/api/nothing", 404],
  ["a command by GET", "GET", "/api/services/vllm/start", 405],
  ["a stream by POST", "POST", "/api/stream", 405],
  ["a body that is too large", "POST", "/api/services/vllm/start", 413, "x".repeat(200_000)],
  ["a place that is none", "GET", "/api/stream?logs=vllm&after=abc", 400],
  ["a pace that is none", "GET", "/api/stream?logs=vllm&every=soon", 400],
  ["a pace that is too slow", "GET", "/api/stream?logs=vllm&every=1001", 400],
  ["a limit that is none", "GET", "/api/services/vllm/logs?limit=minus", 400],
];
for (const [what, method, path, status, body] of problems) {
  test(`${what}: ${status} as problem+json`, { tag: "@no-engine" }, async ({ dashboard }) => {
    const dash = await dashboard();
    const answer = await dash.ask(path, { method, ...(body === undefined ? {} : { body }) });
    expect(answer.status).toBe(status);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(JSON.parse(answer.body)).toMatchObject({ status, title: expect.any(String) as unknown });
  });
}

test("an engine that answers garbage, or not at all, is a clear state and no busy loop", { tag: "@no-engine" }, async ({ dashboard }) => {
  const net = await import("node:net");
  let connections = 0;
  const garbage = net.createServer((socket) => {
    connections += 1;
    socket.on("error", () => undefined).end("\x00\xffnot http\r\n\r\n");
  });
  const silent = net.createServer((socket) => socket.on("error", () => undefined));
  for (const [server, why] of [[garbage, /garbage/], [silent, /timeout|garbage/]] as const) {
    const dash = await dashboard({ env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } });
    const path = `${dash.folder}/fake.sock`;
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await dash.down();
    dash.env["DOCKER_HOST"] = `unix://${path}`;
    await dash.up();
    const service = await dash.state("unreachable");
    await expect(async () => expect((await dash.service()).state.reason?.why).toMatch(why)).toPass({ timeout: 40_000 });
    expect(service.state.state).toBe("unreachable");
    const before = connections;
    await sleep(3_000);
    expect(connections - before, "attempts in three seconds").toBeLessThan(20);
    server.close();
    await dash.down("SIGKILL");
  }
});

test("healthz answers while the engine is away", { tag: "@no-engine" }, async ({ dashboard }) => {
  const dash = await dashboard({ env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } });
  expect((await ask(`${dash.url}/healthz`)).status).toBe(200);
  const stream = await Sse.open(`${dash.url}/api/stream`);
  const { services } = await stream.next<Snapshot>("snapshot");
  expect(services[0]?.state).toMatchObject({ state: "unreachable" });
  stream.close();
});
