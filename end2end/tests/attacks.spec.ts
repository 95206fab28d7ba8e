// Holes that were found in programs of this kind, each tried on ours. The table in docs/SECURITY.md names these tests.
import http from "node:http";
import net from "node:net";
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { docker, unique } from "../harness/docker.ts";
import { until } from "../harness/net.ts";
import { expect, test } from "./fixtures.ts";

const PASSWORD = "correct horse battery";
const FORM = { "content-type": "application/x-www-form-urlencoded" };

const house = (dashboard: (options?: object) => Promise<Dashboard>, env: Record<string, string> = {}) =>
  dashboard({ image: INSTANT, accounts: true, env: { SERVICES_ADMIN: "root", SERVICES_ADMIN_PASSWORD: PASSWORD, ...env } });
async function enter(dash: Dashboard, name = "root") {
  const answer = await dash.ask("/login", { method: "POST", headers: FORM, body: `name=${name}&password=${encodeURIComponent(PASSWORD)}` });
  expect(answer.status).toBe(303);
  return { cookie: answer.headers["set-cookie"]?.map((text) => text.split(";")[0]).join("; ") ?? "" };
}

/** Sends bytes as they are; what came back. */
const raw = (dash: Dashboard, text: string) =>
  new Promise<string>((resolve, reject) => {
    let all = "";
    const socket = net.connect(dash.port, "127.0.0.1", () => socket.write(text));
    socket.setTimeout(3_000, () => socket.destroy());
    socket.on("data", (bytes) => (all += bytes.toString())).on("close", () => resolve(all)).on("error", reject);
  });

test("any-origin WebSockets (Dozzle, CVE-2026-44985): there is none, and no foreign page opens a stream", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const own = await enter(dash);
  for (const path of ["/api/stream", "/", "/api/services/vllm/logs", "/api/services/vllm/exec"]) {
    const answer = await raw(dash, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${dash.port}\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    expect(answer, path).toMatch(/^HTTP\/1.1 (303|40[134]) /);
  }
  expect((await dash.ask("/api/stream", { headers: { ...own, origin: "https://evil.example" } })).status).toBe(403);
});

test("a token in an address leaks (Portainer, CVE-2026-44883): none is taken from there, none is sent on", async ({ page, dashboard }) => {
  const dash = await house(dashboard);
  const token = (await dash.run(["token", "add", "root", "t", "--role", "admin"])).trim();
  for (const key of ["token", "access_token", "api_key", "key", "authorization"]) {
    expect((await dash.ask(`/api/services?${key}=${token}`)).status, key).toBe(401);
    expect((await dash.ask("/api/services", { headers: { cookie: `${key}=${token}; services=${token}` } })).status, key).toBe(401);
  }
  const seen: string[] = [];
  page.on("request", (request) => seen.push(request.url()));
  await page.goto(dash.url);
  await page.getByLabel("Name").fill("root");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(`${dash.url}/`);
  const session = (await page.context().cookies()).map(({ value }) => value);
  expect(seen.filter((url) => session.some((value) => url.includes(value)))).toEqual([]);
});

test("a path behind ours reaches the engine (Portainer, CVE-2026-44848; Beszel, CVE-2026-27734): no address is handed on", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const own = await enter(dash);
  const secret = unique("bystander");
  dash.owns(secret);
  await docker("create", "--name", secret, "-e", "SECRET=planted", INSTANT);
  for (const path of [
    "/containers/json", "/v1.41/containers/json", "/api/containers/json", `/api/services/..%2f..%2fcontainers%2f${secret}/logs`, `/api/services/${secret}/logs`,
    `/api/services/vllm%2f..%2f${secret}/logs`, "/api/services/vllm/../../../containers/json", "/api//services", "//api/services/../images/json", `/services/${secret}`, `/parts/runs/${secret}`,
  ]) {
    const answer = await raw(dash, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${dash.port}\r\nCookie: ${own.cookie}\r\nConnection: close\r\n\r\n`);
    expect(answer, path).toMatch(/^HTTP\/1.1 (400|404|405) /);
    expect(answer, path).not.toContain("planted");
  }
});

test("what changes skips the checks of what creates (Portainer, CVE-2026-44849): saving, pasting, restoring and remedies refuse alike", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const own = await enter(dash);
  const before = await dash.ask("/parts/settings/vllm", { headers: own });
  expect(before.status).toBe(200);
  const fields = [...before.body.matchAll(/name="(base[^"]*)" value="([^"]*)"/g)].map(([, name, value]) => `${encodeURIComponent(name ?? "")}=${encodeURIComponent(value ?? "")}`).join("&");
  for (const path of ["/parts/settings/vllm", "/parts/settings/vllm/paste", "/parts/settings/vllm/restore", "/parts/settings/vllm/use"]) {
    await dash.ask(path, { method: "POST", headers: { ...own, ...FORM }, body: `${fields}&rest=${encodeURIComponent("--privileged -v /:/host")}&VLLM_MODEL=${encodeURIComponent("/etc")}&command=${encodeURIComponent("docker run --privileged -v /:/host --pid host vllm/vllm-openai /etc")}` });
  }
  await dash.ask("/api/services/vllm/start", { method: "POST", headers: own });
  await until("it was started, or refused", 30_000, async () => (await dash.ask("/api/services/vllm", { headers: own })).body.includes('"state":"running"') || (await dash.ask("/api/services/vllm", { headers: own })).body.includes('"state":"failed"'));
  const made = await docker("inspect", dash.container).catch(() => "[]");
  for (const power of ['"Privileged": true', '"/:/host', '"PidMode": "host"']) expect(made).not.toContain(power);
});

test("labels and names reach a shell (Arcane, CVE-2026-23520): they are data wherever they come from", async ({ dashboard }) => {
  const dash = await house(dashboard, { VLLM_MODEL_NAME: "$(touch /tmp/services-owned)" });
  const own = await enter(dash);
  const name = unique("labelled");
  dash.owns(name);
  await docker("create", "--name", name, "--label", "services.name=$(touch /tmp/services-owned)", "--label", "com.docker.compose.project=`touch /tmp/services-owned`;id", INSTANT, "vllm", "serve", "$(touch /tmp/services-owned)");
  await dash.ask("/api/services/vllm/start", { method: "POST", headers: own });
  await until("it runs or failed", 30_000, async () => /"state":"(running|failed)"/.test((await dash.ask("/api/services/vllm", { headers: own })).body));
  expect(await docker("diff", dash.container)).not.toContain("services-owned");
  const { existsSync } = await import("node:fs");
  expect(existsSync("/tmp/services-owned")).toBe(false);
});

test("something answers before anybody is asked who he is (Arcane, CVE-2026-23944): the gate is before everything", async ({ dashboard }) => {
  const dash = await house(dashboard);
  // All routes by all who must not be heard: server/src/web/tests.rs. Here the ways around a router.
  for (const path of ["/api/services/", "/API/services", "/api/services/vllm/", "/api/services;x", "/pkg/../api/services", "/pkg/%2e%2e/api/services", "/./api/services", "/api/%73ervices", "http://127.0.0.1/api/services", "/login/../api/services", "/healthz/../api/services"]) {
    const answer = await raw(dash, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${dash.port}\r\nConnection: close\r\n\r\n`);
    expect(answer, path).toMatch(/^HTTP\/1.1 (303|40[0134]) /);
    expect(answer, path).not.toContain('"vllm"');
  }
  for (const method of ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-User", "X-Remote-User"]) {
    expect((await dash.ask("/login", { headers: { [method]: "/api/services" } })).body).not.toContain('"state"');
    expect((await dash.ask("/api/services", { headers: { [method]: "root" } })).status, method).toBe(401);
  }
});

test("a filter holds in the list and not in the look-up (Dozzle, CVE-2026-24740): what is no service has no address", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const own = await enter(dash);
  const name = unique("bystander");
  dash.owns(name);
  const id = await docker("run", "-d", "--name", name, "-e", "SECRET=planted", INSTANT);
  for (const what of [name, id.slice(0, 12), id]) {
    for (const path of [`/api/services/${what}`, `/api/services/${what}/logs`, `/api/services/${what}/container-logs`, `/api/services/${what}/search?q=a`, `/api/services/${what}/runs`, `/api/stream?logs=${what}`]) {
      expect((await dash.ask(path, { headers: own })).status, path).toBe(404);
    }
    for (const verb of ["start", "stop", "restart", "pull"]) expect((await dash.ask(`/api/services/${what}/${verb}`, { method: "POST", headers: own })).status, `${verb} ${what}`).toBe(404);
  }
  expect(await docker("inspect", "-f", "{{.State.Running}}", name)).toBe("true");
});

test("DNS rebinding reaches loopback (Ollama, CVE-2024-28224): a host that is not ours is told nothing", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const own = await enter(dash);
  for (const host of ["evil.example", `evil.example:${dash.port}`, "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", `169.254.169.254:${dash.port}`, ""]) {
    for (const path of ["/", "/login", "/setup", "/api/services", "/healthz"]) {
      const answer = await dash.ask(path, { headers: { ...own, host } });
      expect([400, 421], `${host} ${path}`).toContain(answer.status);
    }
  }
});

test("the first visitor becomes admin (Dockge): without the code from the terminal nobody does", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT, accounts: true });
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, n) => dash.ask("/setup", { method: "POST", headers: FORM, body: `code=${"A".repeat(16 - (n % 3))}&name=eve${n}&password=${encodeURIComponent(PASSWORD)}` })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
  expect(await dash.run(["user", "list"])).toBe("no accounts\n");
  // And with it, only one of many at once.
  const code = /give this code: (\S+)/.exec(dash.output)?.[1] ?? "";
  const fresh = await dashboard({ image: INSTANT, accounts: true });
  const right = /give this code: (\S+)/.exec(fresh.output)?.[1] ?? "";
  expect(right).not.toBe(code);
  const race = await Promise.all(
    Array.from({ length: 8 }, (_, n) => fresh.ask("/setup", { method: "POST", headers: FORM, body: `code=${right}&name=root${n}&password=${encodeURIComponent(PASSWORD)}` })),
  );
  expect(race.filter(({ status }) => status === 303)).toHaveLength(1);
});

test("a form on a foreign page signs somebody in or out: it is refused", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const own = await enter(dash);
  for (const path of ["/login", "/logout", "/setup", "/account/password", "/account/tokens", "/accounts", "/preferences"]) {
    const answer = await dash.ask(path, { method: "POST", headers: { ...own, ...FORM, origin: "https://evil.example" }, body: `name=root&password=${encodeURIComponent(PASSWORD)}` });
    expect(answer.status, path).toBe(403);
  }
  expect((await dash.ask("/api/services", { headers: own })).status).toBe(200);
});

test("a service's own port answers with more than it should: nothing of it is handed on as ours", async ({ dashboard }) => {
  let asked = 0;
  const evil = http.createServer((_, answer) => {
    asked += 1;
    answer.writeHead(302, { location: "http://169.254.169.254/latest/meta-data/", "set-cookie": "services=evil", "content-type": "text/html" }).end("<script>alert(1)</script>");
  });
  await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
  const { port } = evil.address() as net.AddressInfo;
  try {
    const dash = await house(dashboard, { VLLM_API_URL: `http://127.0.0.1:${port}` });
    const own = await enter(dash);
    const answer = await dash.ask("/", { headers: { ...own, accept: "text/html" } });
    expect(answer.body).not.toContain("alert(1)");
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(asked).toBeLessThan(50);
  } finally {
    evil.close();
  }
});
