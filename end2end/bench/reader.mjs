// A plain reader in a process of its own: keeps what comes and when, and looks at it only afterwards.
//   node reader.mjs lines PROGRAM ARGUMENT…   a program's standard output, line by line
//   node reader.mjs events URL                Server-Sent Events
// The parent sends {last: N} before line N is written, and gets {begun}, {done} once it came, {lines, …} for "report".
import { spawn } from "node:child_process";
import http from "node:http";

const [kind, first, ...rest] = process.argv.slice(2);
const now = () => performance.timeOrigin + performance.now();
/** @type {Buffer[]} */
let pieces = [];
/** @type {number[]} */
let times = [];
let before = Buffer.alloc(0);
let last = "";
let child;
let request;

function take(/** @type {Buffer} */ piece) {
  pieces.push(piece);
  times.push(now());
  if (last !== "" && (piece.includes(last) || Buffer.concat([before, piece.subarray(0, 40)]).includes(last))) {
    last = "";
    process.send({ done: true });
  }
  before = piece.subarray(-40);
}

/** Each line or event with the time of the piece that ended it. */
function* units() {
  const all = Buffer.concat(pieces);
  const end = kind === "events" ? "\n\n" : "\n";
  let [piece, ends] = [0, pieces[0]?.length ?? 0];
  for (let from = 0, at; (at = all.indexOf(end, from)) >= 0; from = at + end.length) {
    while (at + end.length > ends) ends += pieces[++piece].length;
    yield { text: all.toString("utf8", from, at), time: times[piece] };
  }
}

function report() {
  const found = { number: [], written: [], time: [], pieces: pieces.length, doubled: 0, missing: 0, gap: 0, events: 0 };
  const line = (text, time) => {
    const match = /flood n=(\d+) t=(\d+)/.exec(text);
    if (!match) return;
    found.number.push(Number(match[1]));
    found.written.push(Number(match[2]) / 1000);
    found.time.push(time);
  };
  let seq = 0;
  for (const { text, time } of units()) {
    if (kind === "lines") {
      line(text, time);
      continue;
    }
    const [, event] = /^event: (\S+)/m.exec(text) ?? [];
    const data = /^data: (.*)$/m.exec(text)?.[1] ?? "";
    if (event === "gap") {
      const gap = JSON.parse(data);
      found.gap += gap.count ?? 0;
      seq = gap.after + (gap.count ?? 0);
    }
    if (event !== "lines") continue;
    found.events += 1;
    for (const one of JSON.parse(data).lines) {
      if (seq > 0 && one[0] <= seq) found.doubled += 1;
      else if (seq > 0) found.missing += one[0] - seq - 1;
      seq = Math.max(seq, one[0]);
      line(one[5], time);
    }
  }
  for (const key of ["number", "written", "time"]) found[key] = Float64Array.from(found[key]);
  return found;
}

if (kind === "events") {
  request = http.get(first, { headers: { accept: "text/event-stream" }, agent: false }, (answer) => {
    answer.on("data", take);
    process.send({ begun: true });
  });
  request.on("error", () => process.disconnect());
} else {
  child = spawn(first, rest, { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.on("data", take);
  child.on("spawn", () => process.send({ begun: true }));
}

process.on("message", (message) => {
  if (message.last) last = `flood n=${String(message.last).padStart(6, "0")} `;
  if (message === "report") {
    process.send(report(), () => {
      [pieces, times] = [[], []];
      child?.kill();
      request?.destroy();
      process.disconnect();
    });
  }
});
// A parent that has gone wants nothing more.
process.on("disconnect", () => {
  child?.kill();
  process.exit();
});
