// Many viewers of one stream in a process of its own: node viewers.mjs COUNT URL. Looks at each event's head only, so that
// it costs little beside what is measured. Sends {begun} when all have their snapshot, {done} when all have line N of {last: N};
// "report" gets {viewers, delays}.
import http from "node:http";

const [count, url] = [Number(process.argv[2]), process.argv[3]];
const viewers = [];
/** How late the newest line of an event was, in whole milliseconds. */
const delays = new Uint32Array(10_000);
let begun = 0;
/** The number of the last line that all wait for, and who still does. */
let wanted = Infinity;
let waiting = 0;

class Viewer {
  lines = 0;
  events = 0;
  bytes = 0;
  gaps = 0;
  missing = 0;
  doubled = 0;
  last = 0;
  flood = 0;
  done = false;
  #rest = Buffer.alloc(0);

  take(piece) {
    this.bytes += piece.length;
    const all = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let from = 0;
    // Only what is new can hold an end, or the second half of one.
    let look = Math.max(0, this.#rest.length - 1);
    for (let at; (at = all.indexOf("\n\n", look)) >= 0; look = from = at + 2) this.#event(all.subarray(from, at));
    this.#rest = all.subarray(from);
  }

  #event(event) {
    const head = event.toString("latin1", 0, 160);
    if (head.startsWith("event: snapshot")) {
      begun += 1;
      if (begun === count) process.send({ begun: true });
    }
    if (head.startsWith("event: gap")) {
      const gap = JSON.parse(/^data: (.*)$/m.exec(event.toString())[1]);
      this.gaps += gap.count ?? 1;
      this.last = gap.after + (gap.count ?? 0);
    }
    if (!head.startsWith("event: lines")) return;
    const last = Number(/\nid: \d+\.(\d+)\n/.exec(head)[1]);
    const first = Number(/"lines":\[\[(\d+),/.exec(head)[1]);
    if (this.last > 0) {
      if (first <= this.last) this.doubled += this.last + 1 - first;
      else this.missing += first - this.last - 1;
    }
    this.last = last;
    this.lines += last + 1 - first;
    this.events += 1;
    const at = event.lastIndexOf("flood n=");
    const match = at < 0 ? null : /flood n=(\d+) t=(\d+)/.exec(event.toString("latin1", at, at + 60));
    if (match) {
      this.flood = Number(match[1]);
      if (this.flood >= wanted && !this.done) {
        this.done = true;
        waiting -= 1;
        if (waiting === 0) process.send({ done: true });
      }
      const late = Math.round(performance.timeOrigin + performance.now() - Number(match[2]) / 1000);
      delays[Math.min(Math.max(late, 0), delays.length - 1)] += 1;
    }
  }
}

for (let n = 0; n < count; n++) {
  const viewer = new Viewer();
  viewers.push(viewer);
  http.get(url, { headers: { accept: "text/event-stream" }, agent: false }, (answer) => answer.on("data", (piece) => viewer.take(piece))).on("error", () => undefined);
}

process.on("message", (message) => {
  if (message.last) [wanted, waiting] = [message.last, count];
  if (message !== "report") return;
  process.send({ viewers: viewers.map((one) => ({ ...one })), delays }, () => process.disconnect());
});
process.on("disconnect", () => process.exit());
