// Nothing that another web page can send may change anything, or be answered to it.
import http from "node:http";
import { docker } from "../harness/docker.ts";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import type { Ask } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const targets: [what: string, path: string, request: Ask][] = [
  ["a command", "/api/services/vllm/start", { method: "POST" }],
  ["a server function", "/api/fn/command", { method: "POST", headers: FORM, body: "service=vllm&verb=start" }],
  ["an adoption", "/api/fn/adopt", { method: "POST", headers: FORM, body: "container=vllm" }],
  ["the stream", "/api/stream", { method: "GET" }],
];
const hostile: [what: string, headers: Record<string, string>][] = [
  ["a foreign Origin", { origin: "http://evil.example" }],
  ["the Origin null", { origin: "null" }],
  ["an Origin that begins like ours", { origin: "http://127.0.0.1.evil.example" }],
  ["Sec-Fetch-Site: cross-site", { "sec-fetch-site": "cross-site" }],
  ["Sec-Fetch-Site: same-site", { "sec-fetch-site": "same-site" }],
  ["a foreign Host", { host: "evil.example" }],
  ["a Host that begins like ours", { host: "localhost.evil.example:3000" }],
  ["no Host", { host: "" }],
];

async function unchanged(dash: Dashboard) {
  expect(await dash.service()).toMatchObject({ state: { state: "stopped" }, wish: "stopped" });
  expect(await docker("ps", "-aq", "--filter", `name=^/${dash.container}$`)).toBe("");
}

for (const [what, path, request] of targets) {
  test(`${what} is refused to every foreign request`, async ({ dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    for (const [how, headers] of hostile) {
      const answer = await dash.ask(path, { ...request, headers: { ...request.headers, ...headers } });
      expect([400, 403, 421], `${how}: ${answer.status}`).toContain(answer.status);
      expect(answer.headers["access-control-allow-origin"], how).toBeUndefined();
    }
    await unchanged(dash);
  });
}

test("our own requests pass: same origin, any loopback name, and programs without an Origin", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const own: Record<string, string>[] = [
    {},
    { origin: dash.url, "sec-fetch-site": "same-origin" },
    { host: `localhost:${dash.port}`, origin: `http://localhost:${dash.port}` },
    { host: `127.0.0.2:${dash.port}` },
    { host: `[::1]:${dash.port}` },
  ];
  for (const headers of own) expect((await dash.ask("/api/services/vllm/stop", { method: "POST", headers })).status, JSON.stringify(headers)).toBe(202);
});

test("further host names are let in by SERVICES_HOSTS alone", async ({ dashboard }) => {
  const dash = await dashboard({ env: { SERVICES_HOSTS: "gpu.example" } });
  const page = (host: string) => dash.ask("/", { headers: { host, accept: "text/html" } });
  expect((await page("gpu.example")).status).toBe(200);
  expect([400, 403, 421]).toContain((await page("other.example")).status);
});

test("an address other than loopback takes accounts", { tag: "@no-engine" }, async ({ dashboard }) => {
  await expect(dashboard({ env: { SERVICES_ADDR: "0.0.0.0:0" } })).rejects.toThrow(/SERVICES_NO_AUTH/);
});

test("the page is under a strict policy and loads nothing from elsewhere", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(dash.url) && !request.url().startsWith("data:")) foreign.push(request.url());
  });
  const [answer] = [await dash.ask("/", { headers: { accept: "text/html" } })];
  const policy = String(answer.headers["content-security-policy"]);
  expect(policy).toMatch(/script-src[^;]*'nonce-[^']{16,}'/);
  expect(policy).not.toContain("unsafe-inline");
  expect(policy).not.toContain("'unsafe-eval'");
  expect(policy).not.toMatch(/[ :]\*(?![\w.])/);
  for (const part of ["frame-ancestors 'none'", "base-uri 'none'", "default-src 'none'", "form-action 'self'"]) expect(policy).toContain(part);
  expect(answer.headers["x-content-type-options"]).toBe("nosniff");
  expect(answer.headers["referrer-policy"]).toBe("same-origin");
  expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  const again = String((await dash.ask("/", { headers: { accept: "text/html" } })).headers["content-security-policy"]);
  expect(/nonce-([^']+)/.exec(again)?.[1], "a new nonce each time").not.toBe(/nonce-([^']+)/.exec(policy)?.[1]);

  const card = await open(page, dash.url);
  await card.shows("Running");
  expect(foreign).toEqual([]);
});

test("no GET changes anything", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const paths = ["/api/services/vllm/start", "/api/services/vllm/restart", "/api/fn/command?service=vllm&verb=start", "/api/fn/command/start", "/services/vllm?verb=start", "/?start=vllm"];
  for (const path of paths) await dash.ask(path);
  for (const method of ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"]) await dash.ask("/api/services/vllm/start", { method }).catch(() => undefined);
  await unchanged(dash);
});

test("a hostile page in another tab can neither change nor read anything", async ({ browser, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  // A site of its own: `localhost` against the dashboard's 127.0.0.1, and another port.
  const evil = http.createServer((_, answer) => {
    answer.setHeader("content-type", "text/html").end(`<!doctype html><title>evil</title>
      <form id=f method=post target=frame action="${dash.url}/api/fn/command"><input name=service value=vllm><input name=verb value=start></form>
      <form id=g method=post target=frame action="${dash.url}/api/services/vllm/start" enctype="text/plain"><input name=x value=y></form>
      <iframe name=frame></iframe>
      <script>
        const url = ${JSON.stringify(dash.url)};
        window.attack = async () => {
          document.getElementById("f").submit();
          await new Promise((r) => setTimeout(r, 500));
          document.getElementById("g").submit();
          const out = [];
          for (const mode of ["no-cors", "cors"])
            for (const path of ["/api/services/vllm/start", "/api/fn/command"])
              out.push(await fetch(url + path, { method: "POST", mode, body: new URLSearchParams({ service: "vllm", verb: "start" }) }).then((a) => a.type, () => "refused"));
          out.push(await fetch(url + "/api/services").then((a) => a.text(), () => "refused"));
          out.push(await new Promise((r) => { const s = new EventSource(url + "/api/stream"); s.addEventListener("snapshot", () => r("READ")); s.onerror = () => { s.close(); r("refused"); }; }));
          navigator.sendBeacon(url + "/api/services/vllm/start", "x");
          await new Promise((r) => setTimeout(r, 500));
          return out;
        };
      </script>`);
  });
  await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
  const { port } = evil.address() as import("node:net").AddressInfo;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://localhost:${port}/`);
  const answers = await page.evaluate(() => (window as unknown as { attack: () => Promise<string[]> }).attack());
  expect(answers.slice(2)).toEqual(["refused", "refused", "refused", "refused"]);
  await unchanged(dash);

  // Not framed either.
  await page.setContent(`<iframe src="${dash.url}"></iframe>`);
  await page.waitForTimeout(1_000);
  expect(await page.frames()[1]?.locator("article").count().catch(() => 0)).toBe(0);
  await context.close();
  evil.close();
});

test("names from outside cannot walk the engine's paths", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  for (const name of ["../../version", "%2e%2e%2f%2e%2e%2fversion", "a/../../b", "vllm%00", "x".repeat(5_000)]) {
    const answer = await dash.ask(`/api/services/${encodeURIComponent(name)}/start`, { method: "POST" });
    expect([400, 404, 414], name).toContain(answer.status);
    const adopt = await dash.ask("/api/fn/adopt", { method: "POST", headers: FORM, body: `container=${encodeURIComponent(name)}` });
    expect(adopt.status, name).not.toBe(200);
  }
  await unchanged(dash);
});

test("a bad setting is refused at start-up with its name, its value and what is allowed", { tag: "@no-engine" }, async ({ dashboard }) => {
  const bad: [name: string, value: string][] = [
    ["VLLM_API_URL", "not a url"],
    ["GPU_MEMORY_UTILIZATION", "1.5"],
    ["CUDA_VISIBLE_DEVICES", "zero; rm"],
    ["VLLM_RUNTIME", "podman"],
    ["VLLM_CONTAINER", "../x"],
    ["VLLM_IMAGE", "a b"],
    ["SERVICES_ADDR", "nowhere"],
  ];
  for (const [name, value] of bad) {
    const error = await dashboard({ env: { [name]: value } }).then(() => "", String);
    expect(error, name).toContain(name);
    expect(error, name).toContain(value);
  }
});

test("the page escapes what the engine and the settings say", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { VLLM_MODEL_NAME: "<img-src=x>" } });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await expect(card.value("Model")).toHaveText("<img-src=x>");
});
