// The form Configuration as a program sends it, and a dashboard whose values stand in services.toml, where the form may change them.
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { INSTANT, type Dashboard, type Options } from "./dashboard.ts";
import { docker } from "./docker.ts";
import { freePort, type Answer } from "./net.ts";

export const MODEL = "Qwen/Qwen2.5-7B-Instruct";

export interface Filed {
  dash: Dashboard;
  /** The port of the API. */
  port: number;
  /** What services.toml said. */
  text: string;
}

export interface FiledOptions {
  image?: string;
  env?: Record<string, string>;
  /** Before the service: `[dashboard]`. */
  head?: string;
  /** Further keys of the service. */
  keys?: string;
  /** Behind the service: others. */
  tail?: string;
}

/** Image, model, address and share in a file with comments; nothing of them in the environment. */
export async function filed(start: (options: Options) => Promise<Dashboard>, options: FiledOptions = {}): Promise<Filed> {
  const port = await freePort();
  const { head = "", keys = "", tail = "", image = INSTANT, env = {} } = options;
  const text = `# Written by hand.
${head}
[[service]]
name = "vllm" # the one
image = "${image}" # a fast one
api_url = "http://127.0.0.1:${port}"
model = "${MODEL}"
gpu_memory_utilization = 0.5 # half
${keys}
# The end.
${tail}`;
  const dash = await start({ toml: text, env: { VLLM_IMAGE: "", VLLM_MODEL: "", VLLM_API_URL: "", ...env } });
  return { dash, port, text };
}

const ENTITIES: Record<string, string> = { "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&" };
const plain = (html: string) => html.replaceAll(/&(quot|#39|#x27|lt|gt|amp);/g, (word) => ENTITIES[word] ?? word);

/** What a browser would send if nothing was typed. */
export async function fieldsOf(dash: Dashboard, name = "vllm"): Promise<Record<string, string>> {
  const answer = await dash.ask(`/parts/settings/${name}`);
  if (answer.status !== 200) throw new Error(`GET /parts/settings/${name}: ${answer.status} ${answer.body}`);
  const from = answer.body.indexOf("data-check");
  const form = answer.body.slice(from, answer.body.indexOf("</form>", from));
  const fields: Record<string, string> = {};
  for (const [, tag, attributes = "", content = ""] of form.matchAll(/<(input|textarea)\b([^>]*)>([^<]*)/g)) {
    const attribute = (wanted: string) => plain(new RegExp(`\\b${wanted}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    if (/type="checkbox"/.test(attributes)) continue;
    fields[attribute("name")] = tag === "textarea" ? plain(content) : attribute("value");
  }
  if (!fields["base"]) throw new Error(`no form in ${answer.body.slice(0, 500)}`);
  return fields;
}

/** Sends the form, or one beside it, as the page's script does; `raw` instead of what the form holds. */
export async function send(
  dash: Dashboard,
  changes: Record<string, string>,
  { at = "", raw = false, headers = {}, name = "vllm" }: { at?: "" | "/check" | "/paste" | "/restore" | "/use"; raw?: boolean; headers?: Record<string, string>; name?: string } = {},
): Promise<Answer> {
  const fields = raw ? changes : { ...(await fieldsOf(dash, name)), ...changes };
  return dash.ask(`/parts/settings/${name}${at}`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", "x-part": "1", ...headers },
    body: new URLSearchParams(fields).toString(),
  });
}

/** A container as the engine has it, in what decides about its power. */
interface Whole {
  Config: { Cmd: string[] | null; Env: string[] | null; Image: string; User: string; Entrypoint: string[] | null };
  HostConfig: {
    Privileged: boolean;
    NetworkMode: string;
    PidMode: string;
    IpcMode: string;
    UTSMode: string;
    UsernsMode: string;
    CgroupnsMode: string;
    Binds: string[] | null;
    Mounts: unknown[] | null;
    VolumesFrom: string[] | null;
    CapAdd: string[] | null;
    Devices: unknown[] | null;
    SecurityOpt: string[] | null;
    PortBindings: Record<string, { HostIp: string; HostPort: string }[] | null>;
    RestartPolicy: { Name: string };
  };
  Mounts: { Type: string; Source: string; Destination: string; RW: boolean }[];
}

export const whole = async (container: string) => (JSON.parse(await docker("inspect", container)) as Whole[])[0]!;

/** What a container has that none of ours may have. `folders`: those that the owner lets in, read-only. */
export async function powers(dash: Dashboard, folders: string[] = []): Promise<string[]> {
  const { HostConfig: host, Mounts: mounts, Config: config } = await whole(dash.container);
  const found: string[] = [];
  const none = (what: string, value: unknown) => {
    if (Array.isArray(value) ? value.length > 0 : Boolean(value)) found.push(`${what}: ${JSON.stringify(value)}`);
  };
  none("privileged", host.Privileged);
  none("network", !["default", "bridge"].includes(host.NetworkMode) && host.NetworkMode);
  none("PIDs", host.PidMode);
  none("IPC", host.IpcMode === "host");
  none("UTS", host.UTSMode);
  none("users", host.UsernsMode);
  none("capabilities", host.CapAdd);
  none("devices", host.Devices);
  none("security", host.SecurityOpt);
  none("volumes", host.VolumesFrom);
  none("mounts", host.Mounts);
  none("entry point", config.Entrypoint?.join(" ") !== "/vllm-sim" && config.Entrypoint);
  none("restarts", host.RestartPolicy.Name !== "no");
  none("published", Object.values(host.PortBindings).flatMap((all) => all ?? []).filter((one) => one.HostIp !== "127.0.0.1"));
  const caches = ["huggingface", "vllm"].map((name) => [join(dash.folder, ".cache", name), `/root/.cache/${name}`]);
  for (const mount of mounts) {
    const cache = caches.some(([source, target]) => mount.Source === source && mount.Destination === target);
    const let_in = !mount.RW && folders.some((one) => mount.Source === one || mount.Source.startsWith(`${one}/`));
    if (!cache && !let_in) found.push(`mount: ${JSON.stringify(mount)}`);
  }
  return found;
}

/** The permissions of services.toml. */
export const modeOf = async (dash: Dashboard) => (await stat(join(dash.folder, "state/services.toml"))).mode & 0o777;

/** What lies in the state folder beside services.toml. */
export async function kept(dash: Dashboard): Promise<[name: string, bytes: Buffer][]> {
  const folder = join(dash.folder, "state");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile() && one.name !== "services.toml").map((one) => join(one.parentPath, one.name));
  return Promise.all(files.map(async (file): Promise<[string, Buffer]> => [file, await readFile(file).catch(() => Buffer.alloc(0))]));
}
