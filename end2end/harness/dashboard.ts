// One dashboard: the release binary with a state folder, an address and settings of its own.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeContainer, root, socket, unique } from "./docker.ts";
import { ask, Final, freePort, until, type Ask } from "./net.ts";
import { Sim } from "./sim.ts";
import { Sse } from "./sse.ts";

export interface Diagnosis {
  cause: string;
  evidence: { line: number; text: string }[];
  facts: Record<string, unknown>;
  remedies: { advice: string; change?: object }[];
}

export interface Service {
  name: string;
  state: { state: string; since?: string; phase?: string; failure?: { kind: string; diagnosis?: Diagnosis }; reason?: { why: string; address?: string } };
  wish: string;
  model: string | null;
  uptime_s: number | null;
  started: string | null;
  image: string | null;
  run: number | null;
  start: { phases: { phase: string; took_ms: number | null }[]; usual: { phase: string }[]; learned_from: number; silence: object | null } | null;
  gpu_memory_bytes: number | null;
  release: { release: string } | null;
  api_url: string | null;
  port_taken?: object | null;
  container: { name: string; id: string; adopted: boolean; auto_remove: boolean } | null;
}

export interface Options {
  /** The image that Start creates from; vllm-sim at eight times its recorded speed if not said. */
  image?: string;
  /** Further variables; an empty text takes one away. */
  env?: Record<string, string>;
  /** Arguments of the server. */
  args?: string[];
  /** What `services.toml` says. */
  toml?: string;
  /** Somebody has to sign in; otherwise whoever comes may do everything. */
  accounts?: boolean;
}

/** Another build than the release one, such as target/debug/server while developing. */
const binary = process.env["SERVICES_BINARY"] ?? `${root}/target/release/server`;

export const INSTANT = "vllm/vllm-openai:instant";
export const SLOW = "vllm/vllm-openai:slow";

export class Dashboard {
  output = "";
  #child: ChildProcess | undefined;
  #containers = new Set<string>();

  private constructor(
    readonly port: number,
    readonly enginePort: number,
    readonly folder: string,
    readonly container: string,
    readonly env: Record<string, string>,
    readonly args: string[],
  ) {
    this.#containers.add(container);
  }

  static async create({ image = "vllm/vllm-openai:latest", env = {}, args = [], toml, accounts = false }: Options = {}): Promise<Dashboard> {
    const [port, enginePort] = [await freePort(), await freePort()];
    const folder = await mkdtemp(join(tmpdir(), "services-e2e-"));
    const container = env["VLLM_CONTAINER"] ?? unique("vllm");
    const all: Record<string, string> = {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      RUST_BACKTRACE: "0",
      SERVICES_STATE_DIR: join(folder, "state"),
      SERVICES_ADDR: `127.0.0.1:${port}`,
      ...(accounts ? {} : { SERVICES_NO_AUTH: "true" }),
      DOCKER_HOST: socket || `unix://${folder}/none.sock`,
      VLLM_RUNTIME: "docker",
      VLLM_API_URL: `http://127.0.0.1:${enginePort}`,
      VLLM_IMAGE: image,
      VLLM_CONTAINER: container,
      VLLM_MODEL: "Qwen/Qwen2.5-7B-Instruct",
      ...env,
    };
    for (const [name, value] of Object.entries(all)) if (value === "" && name in env) delete all[name];
    // Without it the dashboard would look for the machine's own engine.
    if (all["DOCKER_HOST"] === undefined) throw new Error("a test may not take DOCKER_HOST away");
    if (toml !== undefined) {
      await mkdir(join(folder, "state"), { mode: 0o700 });
      await writeFile(join(folder, "state/services.toml"), toml);
    }
    return new Dashboard(port, enginePort, folder, container, all, args);
  }

  static async start(options: Options = {}): Promise<Dashboard> {
    const dashboard = await Dashboard.create(options);
    await dashboard.up();
    return dashboard;
  }

  get url() {
    return `${this.env["SERVICES_TLS_CERT"] ? "https" : "http"}://127.0.0.1:${this.port}`;
  }
  get sim() {
    return new Sim(`http://127.0.0.1:${this.enginePort}`);
  }
  get pid() {
    return this.#child?.pid ?? 0;
  }
  get alive() {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What `services.toml` says now. */
  toml() {
    return readFile(join(this.folder, "state/services.toml"), "utf8");
  }

  /** Starts the program, on the same state folder each time, and waits until it answers. */
  async up() {
    const child = spawn(binary, this.args, { env: this.env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const keep = (text: Buffer) => (this.output += text.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => (this.output += String(error)));
    await until("the dashboard's /healthz", 20_000, async () => {
      if (!this.alive) throw new Final(`the dashboard ended: ${this.output.slice(-2000)}`);
      return (await ask(`${this.url}/healthz`)).status === 200;
    });
  }

  /** Runs the program once, beside the one that serves: its output, or an error with what it said. */
  run(words: string[], input = ""): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(binary, words, { env: this.env, timeout: 20_000 }, (error, out, said) => (error ? reject(new Error(said || String(error))) : resolve(out)));
      // Who refuses at once reads nothing.
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(input);
    });
  }

  /** Ends it by a signal; the exit code, null when the signal ended it. */
  async down(signal: "SIGTERM" | "SIGKILL" | "SIGINT" = "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (!child || !this.alive) return child?.exitCode ?? null;
    const gone = once(child, "exit");
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await gone;
    clearTimeout(late);
    return child.exitCode;
  }

  /** A container to be removed at the end of the test. */
  owns(container: string) {
    this.#containers.add(container);
    return container;
  }

  async remove() {
    await this.down();
    if (socket !== "") for (const container of this.#containers) await removeContainer(container);
    await rm(this.folder, { recursive: true, force: true });
  }

  ask(path: string, options?: Ask) {
    return ask(this.url + path, options);
  }

  async service(name = "vllm"): Promise<Service> {
    const answer = await this.ask(`/api/services/${name}`);
    if (answer.status !== 200) throw new Error(`GET /api/services/${name}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body) as Service;
  }

  async command(verb: "start" | "stop" | "restart", name = "vllm") {
    const answer = await this.ask(`/api/services/${name}/${verb}`, { method: "POST" });
    if (answer.status !== 202) throw new Error(`${verb}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body) as Service;
  }

  state(...words: string[]): Promise<Service> {
    return until(`state ${words.join(" or ")}`, 45_000, async () => {
      const service = await this.service();
      return words.includes(service.state.state) && service;
    });
  }

  /** Start, and wait until requests are answered. */
  async running(): Promise<Service> {
    await this.command("start");
    // Until what was left of the run before is read, the service that runs still names that one.
    return until("running, under the run of this start", 45_000, async () => {
      const now = await this.service();
      return now.state.state === "running" && now.run === (await this.runOf(now.started ?? "")) && now;
    });
  }

  /** The number of the run that began at this time, whichever one the service names; `before`: only among older ones. */
  async runOf(started: string, before?: number): Promise<number> {
    const answer = await this.ask(`/api/services/vllm/runs${before === undefined ? "" : `?before=${before}`}`);
    const runs = JSON.parse(answer.body) as { run: number; started: string }[];
    // The engine's times are finer than ours.
    const found = runs.find((one) => Math.abs(Date.parse(one.started) - Date.parse(started)) < 5);
    const last = runs.at(-1);
    if (!found && !last) throw new Error(`no run began at ${started}`);
    return found?.run ?? this.runOf(started, last?.run);
  }

  stream(query = "?logs=vllm", headers: Record<string, string> = {}) {
    return Sse.open(`${this.url}/api/stream${query}`, headers);
  }
}
