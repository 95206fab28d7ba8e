// The controls of the simulated vLLM, on its API's port.
import { ask, until } from "./net.ts";

export class Sim {
  constructor(readonly url: string) {}

  async #post(path: string, body?: string | Buffer) {
    const answer = await ask(this.url + path, { method: "POST", ...(body === undefined ? {} : { body }), timeout: 30_000 });
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.body}`);
    return answer.body;
  }

  /** Begins lines `flood n=000001`…, behind a flood that still runs; `rate` per second, 0 for as fast as it can. */
  flood(lines: number, rate = 0, bytes = 0) {
    return until("the flood before to end", 60_000, async () => {
      const answer = await ask(`${this.url}/sim/flood?lines=${lines}&rate=${rate}&bytes=${bytes}`, { method: "POST" });
      if (answer.status !== 409 && answer.status !== 202) throw new Error(`flood: ${answer.status} ${answer.body}`);
      return answer.status === 202;
    });
  }

  /** These bytes, as they are; in pieces that fit into one request. */
  async write(stream: "stdout" | "stderr", bytes: string | Buffer) {
    const all = Buffer.from(bytes);
    for (let from = 0; from < all.length; from += 1 << 20)
      await this.#post(`/sim/write?stream=${stream}`, all.subarray(from, from + (1 << 20)));
  }

  /** The connection breaks with the process: no answer is right. */
  exit(code: number) {
    return this.#post(`/sim/exit?code=${code}`).catch(() => "");
  }
  hang(seconds: number) {
    return this.#post(`/sim/hang?seconds=${seconds}`).catch(() => "");
  }
  fatal() {
    return this.#post("/sim/fatal").catch(() => "");
  }

  healthy() {
    return until("the engine's /health", 30_000, async () => (await ask(`${this.url}/health`)).status === 200);
  }
}
