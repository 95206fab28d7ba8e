// The first load over the wire: the page and everything it asks for, as a browser with brotli gets it.
// `--limit` fails above the hard limit.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import zlib from "node:zlib";

const BUDGET = 200_000;
const LIMIT = 250_000;

const freePort = () =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

const get = (url) =>
  new Promise((resolve, reject) => {
    const headers = { "accept-encoding": "br, gzip", accept: "text/html,*/*" };
    http
      .get(url, { headers }, (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("end", () =>
          resolve({ status: answer.statusCode, encoding: answer.headers["content-encoding"], body: Buffer.concat(parts) }),
        );
      })
      .on("error", reject);
  });

const unpack = ({ encoding, body }) =>
  encoding === "br" ? zlib.brotliDecompressSync(body) : encoding === "gzip" ? zlib.gunzipSync(body) : body;

const folder = mkdtempSync(join(tmpdir(), "services-weight-"));
const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const server = spawn(process.env.SERVICES_BINARY ?? "target/release/server", [], {
  env: {
    PATH: process.env.PATH,
    HOME: folder,
    SERVICES_ADDR: `127.0.0.1:${port}`,
    SERVICES_STATE_DIR: folder,
    SERVICES_NO_AUTH: "true",
    // An engine that is not there: the weight is the page's, whatever runs.
    DOCKER_HOST: `unix://${folder}/none.sock`,
    VLLM_RUNTIME: "docker",
  },
  stdio: ["ignore", "ignore", "inherit"],
});

let total = 0;
try {
  let page;
  for (let tries = 0; tries < 100 && page?.status !== 200; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    page = await get(`${origin}/`).catch(() => undefined);
  }
  if (page?.status !== 200) throw new Error(`the server gives no page (${page?.status ?? "no answer"})`);

  const html = unpack(page).toString();
  const wanted = new Set(["/pkg/services.wasm", "/pkg/services.js", "/pkg/services.css"]);
  for (const [, path] of html.matchAll(/(?:href|src)="(\/[^"?#]+\.[a-z0-9]+)"/g)) wanted.add(path);

  const rows = [["/", page]];
  for (const path of wanted) {
    const answer = await get(origin + path);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
    rows.push([path, answer]);
    if (path.endsWith(".js")) {
      for (const [, file] of unpack(answer).toString().matchAll(/from\s*["']\.\/([^"']+\.js)["']/g)) wanted.add(`/pkg/${file}`);
    }
  }
  for (const [path, answer] of rows) {
    total += answer.body.length;
    const note = answer.encoding ?? "not compressed";
    console.log(`${path.padEnd(28)} ${String(answer.body.length).padStart(8)} bytes  ${note} (${unpack(answer).length} raw)`);
  }
  const share = Math.round((100 * total) / BUDGET);
  console.log(`first load                   ${String(total).padStart(8)} bytes  ${share}% of the ${BUDGET / 1000} KB budget, limit ${LIMIT / 1000} KB`);
} finally {
  server.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
}
if (process.argv.includes("--limit") && total > LIMIT) {
  console.error(`The first load is above the limit of ${LIMIT} bytes`);
  process.exit(1);
}
