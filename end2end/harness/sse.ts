// A reader of GET /api/stream that is not a browser.
import http from "node:http";

export interface SseEvent {
  event: string;
  id: string;
  data: unknown;
}

/** One log line as it goes over the wire. */
export type WireLine = [seq: number, time: string, stream: string, level: string, source: string, text: string, ...spans: unknown[]];

export interface Lines {
  run: number;
  lines: WireLine[];
}

export class Sse {
  readonly events: SseEvent[] = [];
  readonly headers: http.IncomingHttpHeaders;
  closed = false;
  /** How many lines came, and the text of the last one of a flood: cheap to look at while it runs. */
  count = 0;
  last = "";
  #buffer = "";
  #waiting = new Set<() => void>();
  #answer: http.IncomingMessage;

  private constructor(answer: http.IncomingMessage) {
    this.#answer = answer;
    this.headers = answer.headers;
    answer.setEncoding("utf8");
    answer.on("data", (text: string) => this.#feed(text));
    const end = () => {
      this.closed = true;
      this.#wake();
    };
    answer.on("end", end).on("close", end).on("error", end);
  }

  static open(url: string, headers: Record<string, string> = {}): Promise<Sse> {
    return new Promise((resolve, reject) => {
      const request = http.get(url, { headers: { accept: "text/event-stream", ...headers }, agent: false }, (answer) => {
        if (answer.statusCode === 200) return resolve(new Sse(answer));
        answer.resume();
        reject(new Error(`${url}: ${answer.statusCode}`));
      });
      request.on("error", reject);
    });
  }

  close() {
    this.#answer.destroy();
  }

  /** A viewer that reads nothing until `resume`. */
  pause() {
    this.#answer.pause();
  }
  resume() {
    this.#answer.resume();
  }

  all<T>(event: string): T[] {
    return this.events.filter((one) => one.event === event).map((one) => one.data as T);
  }

  /** Every line so far, in the order of arrival. */
  lines(): { run: number; line: WireLine }[] {
    return this.all<Lines>("lines").flatMap(({ run, lines }) => lines.map((line) => ({ run, line })));
  }

  get lastId(): string {
    return this.events.findLast((one) => one.id !== "")?.id ?? "";
  }

  /** The first event, already here or still to come, that fits. */
  async next<T = unknown>(event: string, fits: (data: T) => boolean = () => true, ms = 20_000): Promise<T> {
    let seen = 0;
    const found = await this.until(`event ${event}`, ms, () => {
      for (; seen < this.events.length; seen++) {
        const one = this.events[seen];
        if (one?.event === event && fits(one.data as T)) return one;
      }
      return undefined;
    });
    return found.data as T;
  }

  /** Looks again after every piece that arrives. */
  async until<T>(what: string, ms: number, look: () => T | undefined): Promise<T> {
    const end = Date.now() + ms;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left = end - Date.now();
      if (left <= 0) throw new Error(`${what}: not within ${ms} ms; had ${this.#summary()}`);
      if (this.closed) throw new Error(`${what}: the stream ended first; had ${this.#summary()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, left);
        const waiting = this.#waiting;
        function wake() {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        }
        waiting.add(wake);
      });
    }
  }

  #take(one: SseEvent) {
    this.events.push(one);
    if (one.event !== "lines") return;
    const { lines } = one.data as Lines;
    this.count += lines.length;
    // Others may follow it: what the engine says of a probe.
    this.last = lines.findLast((line) => line[5].includes("flood n="))?.[5] ?? this.last;
  }

  #summary() {
    return this.events.slice(-12).map((one) => `${one.event}${one.id && ` ${one.id}`}`).join(", ");
  }

  #wake() {
    for (const wake of [...this.#waiting]) wake();
  }

  #feed(text: string) {
    this.#buffer += text;
    let from = 0;
    for (let end; (end = this.#buffer.indexOf("\n\n", from)) >= 0; from = end + 2) {
      const one = { event: "message", id: "", data: "" };
      for (const field of this.#buffer.slice(from, end).split("\n")) {
        const colon = field.indexOf(":");
        if (colon <= 0) continue; // a comment, or nothing
        const value = field.slice(colon + 1).replace(/^ /, "");
        const name = field.slice(0, colon);
        if (name === "event" || name === "id") one[name] = value;
        if (name === "data") one.data += one.data === "" ? value : `\n${value}`;
      }
      if (one.data !== "") this.#take({ ...one, data: JSON.parse(one.data) as unknown });
    }
    this.#buffer = this.#buffer.slice(from);
    this.#wake();
  }
}
