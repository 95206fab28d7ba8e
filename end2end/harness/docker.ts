// The tests' own engine, through the ordinary client. Never DOCKER_HOST, never the default socket.
import { execFile, type ExecFileOptions } from "node:child_process";
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");
export const socket = process.env["SERVICES_TEST_DOCKER"] ?? "";
export const registry = process.env["SERVICES_TEST_REGISTRY"] ?? "";

const environment: NodeJS.ProcessEnv = { ...process.env };
for (const name of ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"]) delete environment[name];

function execute(program: string, args: string[], options: ExecFileOptions = {}): Promise<string> {
  return new Promise((fulfil, reject) => {
    const settings = { maxBuffer: 1 << 28, timeout: 60_000, env: environment, ...options };
    execFile(program, args, { ...settings, encoding: "utf8" }, (error, stdout, stderr) =>
      error ? reject(new Error(`${program} ${args.join(" ")}: ${error.message}\n${stderr}`)) : fulfil(String(stdout).trim()),
    );
  });
}

export const docker = (...args: string[]) => {
  if (socket === "") throw new Error("no test engine: start the tests with make test or make e2e");
  return execute("docker", ["-H", socket, ...args]);
};

/** Controls of the engine itself: `kill-daemon`, `start-daemon`. */
export const engine = (args: string[], env: Record<string, string> = {}) =>
  execute(`${root}/scripts/engine.sh`, args, { env: { ...environment, ...env } });

export const unique = (prefix: string) => `${prefix}-${randomBytes(4).toString("hex")}`;

export interface Container {
  Id: string;
  State: { Status: string; Running: boolean; Pid: number; StartedAt: string; ExitCode: number };
  Config: { Cmd: string[] | null; Env: string[]; Image: string };
  HostConfig: {
    RestartPolicy: { Name: string };
    PortBindings: Record<string, { HostIp: string; HostPort: string }[] | null> | null;
  };
}

/** What the engine knows of a container; nothing when there is none. */
export async function inspect(name: string): Promise<Container | undefined> {
  const found = await docker("ps", "-aq", "--no-trunc", "--filter", `name=^/${name}$`);
  if (found === "") return undefined;
  return (JSON.parse(await docker("inspect", found)) as Container[])[0];
}

export const removeContainer = (name: string) => docker("rm", "-f", name).catch(() => "");

/** The simulated vLLM with other knobs (SIM_…), as an image of its own: the dashboard hands no variables of its own on. */
export async function simImage(knobs: Record<string, string>): Promise<string> {
  const words = Object.entries(knobs).map(([name, value]) => `${name}=${value}`);
  const tag = words.join("-").toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  const image = `vllm/vllm-openai:${tag}`;
  if ((await docker("images", "-q", image)) !== "") return image;
  const id = await docker("create", "vllm/vllm-openai:latest");
  await docker("commit", ...words.flatMap((word) => ["--change", `ENV ${word}`]), id, image);
  await docker("rm", id);
  return image;
}
