// Ports, plain HTTP with any header, and waiting.
import http from "node:http";
import https from "node:https";
import net from "node:net";

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as net.AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

/** An error that no waiting will mend. */
export class Final extends Error {}

/** Polls until `probe` gives a value; errors count as "not yet". */
export async function until<T>(what: string, ms: number, probe: () => Promise<T | undefined | false>): Promise<T> {
  const end = Date.now() + ms;
  let last: unknown;
  do {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      if (error instanceof Final) throw error;
      last = error;
    }
    await sleep(50);
  } while (Date.now() < end);
  throw new Error(`${what}: not within ${ms} ms${last ? ` (${String(last)})` : ""}`);
}

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

export interface Ask {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  timeout?: number;
}

/** One request as any client could send it: fetch would refuse to set Host or Origin. */
export function ask(url: string, { method = "GET", headers = {}, body, timeout = 10_000 }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length: Record<string, string> = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const all = { ...length, ...headers };
    // An empty Host means none at all.
    const setHost = all["host"] !== "";
    if (!setHost) delete all["host"];
    // A test's certificate is its own.
    const options = { method, headers: all, setHost, agent: false, rejectUnauthorized: false } as const;
    const request = (url.startsWith("https:") ? https : http).request(url, options, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => {
        parts.push(part);
        // A stream never ends by itself: its head is the answer.
        if (String(answer.headers["content-type"]).startsWith("text/event-stream")) answer.destroy();
      });
      const done = () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts).toString() });
      answer.on("end", done).on("close", done);
    });
    request.setTimeout(timeout, () => request.destroy(new Error(`no answer from ${url} within ${timeout} ms`)));
    request.on("error", reject);
    request.end(body);
  });
}
