// A registry that images are really pulled from, and that can be slowed, held, cut, locked and taken away meanwhile.
// It speaks what an engine asks for in a pull (Docker Registry HTTP API V2: https://distribution.github.io/distribution/spec/api/)
// in plain HTTP on loopback, which engines accept as an insecure registry. Nothing is written to disk.
import { createCipheriv, createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { sleep } from "./net.ts";

export const MB = 1_000_000;
export const MiB = 1 << 20;

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG = "application/vnd.docker.container.image.v1+json";
const TAR = "application/vnd.docker.image.rootfs.diff.tar";

/** Bytes that can be read at any place without having them all. */
interface Source {
  size: number;
  read(from: number, length: number): Buffer;
}

export interface Blob extends Source {
  digest: string;
}

/** A layer of one file: so many pseudo-random bytes, or these. */
export interface Layer {
  content: number | Buffer;
  name?: string;
  mode?: number;
  /** Compressed, and held in memory; without it the layer is a plain tar. */
  gzip?: boolean;
  /** Two images share a layer that has the same seed, size and name. */
  seed?: string;
}

export interface ImageOptions {
  /** A number is a layer of so many pseudo-random bytes. */
  layers: (number | Layer)[];
  seed?: string;
  entrypoint?: string[];
  cmd?: string[];
  env?: Record<string, string>;
  labels?: Record<string, string>;
}

export interface Image {
  /** The digest of the manifest, as the registry and `RepoDigests` name it. */
  digest: string;
  /** The digest of the configuration: the image's id in an engine without the containerd image store. */
  id: string;
  manifest: Buffer;
  config: Blob;
  layers: Blob[];
}

const sha256 = (...parts: Buffer[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return `sha256:${hash.digest("hex")}`;
};

const PIECE = 4 * MiB;

function digestOf(source: Source): string {
  const hash = createHash("sha256");
  for (let from = 0; from < source.size; from += PIECE) hash.update(source.read(from, Math.min(PIECE, source.size - from)));
  return `sha256:${hash.digest("hex")}`;
}

const held = (bytes: Buffer): Source => ({ size: bytes.length, read: (from, length) => bytes.subarray(from, from + length) });

/** The same bytes for the same seed: the key stream of a counter mode, which can be entered at any block. */
function random(seed: string, size: number): Source {
  const key = createHash("sha256").update(seed).digest().subarray(0, 16);
  return {
    size,
    read(from, length) {
      const counter = Buffer.alloc(16);
      counter.writeBigUInt64BE(BigInt(Math.floor(from / 16)), 8);
      const skip = from % 16;
      return createCipheriv("aes-128-ctr", key, counter).update(Buffer.alloc(skip + length)).subarray(skip);
    },
  };
}

function chain(parts: Source[]): Source {
  return {
    size: parts.reduce((sum, part) => sum + part.size, 0),
    read(from, length) {
      const found: Buffer[] = [];
      let begin = 0;
      for (const part of parts) {
        const low = Math.max(from, begin);
        const high = Math.min(from + length, begin + part.size);
        if (low < high) found.push(part.read(low - begin, high - low));
        begin += part.size;
      }
      return found.length === 1 ? found[0]! : Buffer.concat(found);
    },
  };
}

/** A ustar archive of one file. */
function tar(name: string, mode: number, content: Source): Source {
  const header = Buffer.alloc(512);
  const octal = (value: number, at: number, width: number) => header.write(value.toString(8).padStart(width - 1, "0"), at, "latin1");
  header.write(name, 0, "latin1");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.size, 124, 12);
  octal(0, 136, 12);
  header.write(" ".repeat(8) + "0", 148, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  octal(header.reduce((sum, byte) => sum + byte, 0), 148, 7);
  return chain([held(header), content, held(Buffer.alloc((512 - (content.size % 512)) % 512 + 1024))]);
}

const asBlob = (source: Source): Blob => ({ ...source, digest: digestOf(source) });

/** An image with real layers, which an engine unpacks and can run. */
export function makeImage({ layers, seed = "image", entrypoint = [], cmd = [], env = {}, labels = {} }: ImageOptions): Image {
  const made = layers.map((layer, index) => {
    const { content, name = `layer-${index}.bin`, mode = 0o644, gzip = false, seed: own = `${seed}/${index}` } = typeof layer === "number" ? { content: layer } : layer;
    const plain = tar(name, mode, typeof content === "number" ? random(own, content) : held(content));
    if (!gzip) {
      const blob = asBlob(plain);
      return { blob, diff: blob.digest, type: TAR };
    }
    return { blob: asBlob(held(gzipSync(plain.read(0, plain.size)))), diff: digestOf(plain), type: `${TAR}.gzip` };
  });
  const config = asBlob(
    held(
      Buffer.from(
        JSON.stringify({
          architecture: process.arch === "arm64" ? "arm64" : "amd64",
          os: "linux",
          created: "2026-01-01T00:00:00Z",
          config: {
            Env: Object.entries({ PATH: "/", ...env }).map(([key, value]) => `${key}=${value}`),
            Entrypoint: entrypoint,
            Cmd: cmd,
            ExposedPorts: { "8000/tcp": {} },
            Labels: { "services.test.seed": seed, ...labels },
          },
          history: made.map((_, index) => ({ created: "2026-01-01T00:00:00Z", created_by: `layer ${index} of ${seed}` })),
          rootfs: { type: "layers", diff_ids: made.map(({ diff }) => diff) },
        }),
      ),
    ),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, size: config.size, digest: config.digest },
      layers: made.map(({ blob, type }) => ({ mediaType: type, size: blob.size, digest: blob.digest })),
    }),
  );
  return { digest: sha256(manifest), id: config.digest, manifest, config, layers: made.map(({ blob }) => blob) };
}

/** The simulated vLLM as an image to pull: its program, then layers of these many bytes. */
export function simulatedVllm({ seed, layers = [], env = {} }: { seed: string; layers?: number[]; env?: Record<string, string> }): Image {
  const program = process.env["SERVICES_TEST_SIM"];
  if (!program) throw new Error("SERVICES_TEST_SIM is not set: start the tests with make test or make e2e");
  return makeImage({
    layers: [{ content: readFileSync(program), name: "vllm-sim", mode: 0o755, gzip: true }, ...layers],
    seed,
    entrypoint: ["/vllm-sim"],
    env: { SIM_SPEED: "0", SIM_CONTROL: "1", ...env },
  });
}

/** How registries word a refusal; the texts for 429 and 401 are Docker Hub's. */
const REFUSALS = {
  401: { code: "UNAUTHORIZED", message: "authentication required" },
  403: { code: "DENIED", message: "requested access to the resource is denied" },
  404: { code: "MANIFEST_UNKNOWN", message: "manifest unknown" },
  429: {
    code: "TOOMANYREQUESTS",
    message: "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
  },
  500: { code: "UNKNOWN", message: "unknown error" },
  503: { code: "UNAVAILABLE", message: "service unavailable" },
} as const;
/** Without a detail, engines make one word of an answer with the code's usual message. */
const WHAT = [{ Type: "repository", Class: "", Name: "vllm/vllm-openai", Action: "pull" }];
export type Refusal = keyof typeof REFUSALS;

export interface Traffic {
  requests: number;
  bytes: number;
}

export class Registry {
  /** Over all connections together. */
  bytesPerSecond = Infinity;
  /** Connections are taken, and nothing is said. */
  hold = false;
  /** Blobs begin, and stop where they are. */
  holdBlobs = false;
  /** Milliseconds before every answer. */
  latency = 0;
  /** Manifests, or blobs, are answered so. */
  refuse: Refusal | undefined;
  refuseBlobs: Refusal | undefined;
  /** Every answer with a blob breaks after so many bytes. */
  cutAfter = Infinity;
  /** The first byte of each layer is another one. */
  corrupt = false;
  /** Without these nothing is answered but 401. */
  credentials: { username: string; password: string } | undefined;
  /** `basic` asks for them with each request; `bearer` sends the engine for a token first, as Docker Hub does. */
  challenge: "basic" | "bearer" = "basic";

  /** All requests as `GET /v2/…`, the oldest first. */
  readonly requests: string[] = [];
  readonly traffic = new Map<string, Traffic>();

  #server: http.Server | undefined;
  #port = 0;
  #free = 0;
  #tags = new Map<string, Image>();
  #manifests = new Map<string, Image>();
  #blobs = new Map<string, Blob>();
  #configs = new Set<string>();
  #sending = new Set<http.ServerResponse>();

  private constructor() {}

  static async start(): Promise<Registry> {
    const registry = new Registry();
    await registry.up();
    return registry;
  }

  /** The host part of an image's name. */
  get host() {
    return `127.0.0.1:${this.#port}`;
  }

  /** Puts an image under a name such as `vllm/vllm-openai:latest`, moving a tag that is there; gives its full name. */
  put(name: string, image: Image): string {
    this.#tags.set(name, image);
    this.#manifests.set(image.digest, image);
    this.#configs.add(image.config.digest);
    for (const blob of [image.config, ...image.layers]) this.#blobs.set(blob.digest, blob);
    return `${this.host}/${name}`;
  }

  /** All images that were ever put here. */
  get images() {
    return [...this.#manifests.values()];
  }

  /** Requests for manifests and their bodies, not those that only ask whether there is one. */
  get manifestReads() {
    return this.requests.filter((line) => line.startsWith("GET ") && line.includes("/manifests/")).length;
  }

  trafficOf({ digest }: Blob): Traffic {
    const found = this.traffic.get(digest) ?? { requests: 0, bytes: 0 };
    this.traffic.set(digest, found);
    return found;
  }

  /** Bytes of layers sent so far. */
  get sent() {
    return [...this.traffic.values()].reduce((sum, one) => sum + one.bytes, 0);
  }

  /** Blobs that are being sent now. */
  get sending() {
    return this.#sending.size;
  }

  /** Breaks every blob that is being sent. */
  cut() {
    for (const answer of this.#sending) answer.destroy();
  }

  /** Back to a registry without faults; what it holds and counts stays. */
  calm() {
    Object.assign(this, { bytesPerSecond: Infinity, hold: false, holdBlobs: false, latency: 0, cutAfter: Infinity, corrupt: false });
    this.refuse = this.refuseBlobs = this.credentials = undefined;
  }

  /** Begins to listen, on the same port each time. */
  async up() {
    if (this.#server) return;
    const server = http.createServer((request, answer) => {
      this.#answer(request, answer).catch(() => answer.destroy());
    });
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(this.#port, "127.0.0.1", resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Away at once, with all connections. */
  async down() {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  async #answer(request: http.IncomingMessage, answer: http.ServerResponse) {
    const url = new URL(request.url ?? "/", "http://registry");
    const method = request.method ?? "GET";
    this.requests.push(`${method} ${url.pathname}`);
    answer.setHeader("docker-distribution-api-version", "registry/2.0");
    if (this.latency > 0) await sleep(this.latency);
    while (this.hold && !answer.destroyed) await sleep(20);
    if (url.pathname === "/token") return this.#token(request, answer);
    if (!this.#admitted(request)) {
      // Docker Hub's words for a token that opens nothing (RFC 6750, section 3.1); engines tell "denied" by them.
      const error = request.headers.authorization?.startsWith("Bearer ") ? ',error="insufficient_scope"' : "";
      const realm = this.challenge === "basic" ? 'Basic realm="registry"' : `Bearer realm="http://${this.host}/token",service="registry"${error}`;
      answer.setHeader("www-authenticate", realm);
      return this.#refuse(answer, 401, WHAT);
    }
    if (url.pathname === "/v2/") return void answer.setHeader("content-type", "application/json").end("{}");
    const [, name, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? [];
    if (!name || !reference || !["GET", "HEAD"].includes(method)) return this.#refuse(answer, 404);
    if (kind === "blobs") return this.#blob(request, answer, reference);
    if (this.refuse) return this.#refuse(answer, this.refuse, WHAT);
    const image = reference.startsWith("sha256:") ? this.#manifests.get(reference) : this.#tags.get(`${name}:${reference}`);
    if (!image) return this.#refuse(answer, 404, { Tag: reference });
    answer.writeHead(200, { "content-type": MANIFEST, "content-length": image.manifest.length, "docker-content-digest": image.digest });
    answer.end(method === "HEAD" ? undefined : image.manifest);
  }

  #refuse(answer: http.ServerResponse, status: Refusal, detail?: object) {
    const body = JSON.stringify({ errors: [{ ...REFUSALS[status], ...(detail ? { detail } : {}) }] });
    answer.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    answer.end(body);
  }

  get #basic() {
    const { username, password } = this.credentials ?? { username: "", password: "" };
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }

  #admitted(request: http.IncomingMessage) {
    if (!this.credentials) return true;
    const wanted = this.challenge === "basic" ? this.#basic : `Bearer ${sha256(Buffer.from(this.#basic))}`;
    return request.headers.authorization === wanted;
  }

  /** Anybody gets a token, as at Docker Hub; only that of the right person opens anything. */
  #token(request: http.IncomingMessage, answer: http.ServerResponse) {
    const given = request.headers.authorization;
    if (given !== undefined && given !== this.#basic) return this.#refuse(answer, 401);
    const token = given === undefined ? "anonymous" : sha256(Buffer.from(this.#basic));
    answer.setHeader("content-type", "application/json").end(JSON.stringify({ token, access_token: token, expires_in: 300 }));
  }

  async #blob(request: http.IncomingMessage, answer: http.ServerResponse, digest: string) {
    const blob = this.#blobs.get(digest);
    if (!blob) return this.#refuse(answer, 404);
    const layer = !this.#configs.has(digest);
    if (layer && this.refuseBlobs) return this.#refuse(answer, this.refuseBlobs);
    const [, low, high] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const from = Number(low ?? 0);
    const end = Math.min(high ? Number(high) + 1 : blob.size, blob.size);
    const head: http.OutgoingHttpHeaders = { "content-type": "application/octet-stream", "content-length": end - from, "accept-ranges": "bytes", "docker-content-digest": digest };
    if (low !== undefined) head["content-range"] = `bytes ${from}-${end - 1}/${blob.size}`;
    answer.writeHead(low === undefined ? 200 : 206, head);
    if (request.method === "HEAD") return void answer.end();
    // The configuration is small and comes at once; pulls are about layers.
    if (!layer) return void answer.end(blob.read(from, end - from));
    const traffic = this.trafficOf(blob);
    traffic.requests += 1;
    this.#sending.add(answer);
    try {
      await this.#send(answer, blob, from, end, traffic);
    } finally {
      this.#sending.delete(answer);
    }
  }

  async #send(answer: http.ServerResponse, blob: Blob, from: number, end: number, traffic: Traffic) {
    for (let at = from; at < end; ) {
      while ((this.hold || this.holdBlobs) && !answer.destroyed) await sleep(20);
      if (at - from >= this.cutAfter) answer.destroy();
      if (answer.destroyed) return;
      const piece = Math.max(1024, Math.min(256 * 1024, Math.floor(this.bytesPerSecond / 20)));
      const bytes = Buffer.from(blob.read(at, Math.min(piece, end - at)));
      if (this.corrupt && at === 0) bytes[0]! ^= 1;
      await this.#turn(bytes.length);
      if (answer.destroyed) return;
      // Not events: a listener for each piece would be left behind until the answer ends.
      answer.write(bytes);
      while (answer.writableNeedDrain && !answer.destroyed) await sleep(5);
      at += bytes.length;
      traffic.bytes += bytes.length;
    }
    answer.end();
  }

  /** Waits until so many bytes more may go: all connections stand in one line. */
  async #turn(bytes: number) {
    const now = performance.now();
    const begin = Math.max(now, this.#free);
    this.#free = begin + (bytes / this.bytesPerSecond) * 1000;
    if (this.#free > now + 1) await sleep(this.#free - now);
  }
}
