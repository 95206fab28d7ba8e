// The page over TLS with a certificate of one's own: HTTP/2, many tabs, renewal, and the way there from plain HTTP.
import { execFile } from "node:child_process";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { promisify } from "node:util";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { until } from "../harness/net.ts";
import { Card, expect, open, test as base } from "./fixtures.ts";

interface Files {
  env: Record<string, string>;
  /** Puts another certificate in the place of this one. */
  renew: () => Promise<void>;
}

const test = base.extend<{ files: Files }>({
  files: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "services-tls-"));
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const renew = async () => {
      const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
      const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
      await promisify(execFile)("openssl", ["req", ...kind, ...subject, "-keyout", `${key}.new`, "-out", `${cert}.new`]);
      await rename(`${key}.new`, key);
      await rename(`${cert}.new`, cert);
    };
    await renew();
    await use({ env: { SERVICES_TLS_CERT: cert, SERVICES_TLS_KEY: key }, renew });
    await rm(folder, { recursive: true, force: true });
  },
});

test.use({ ignoreHTTPSErrors: true });

/** The fingerprint of the certificate in force. */
function fingerprint(dash: Dashboard): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: dash.port, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on("error", reject);
    socket.setTimeout(5_000, () => socket.destroy(new Error("no greeting within 5 s")));
  });
}

test("the page lives over HTTP/2: compressed, with its stream, and its buttons work", async ({ page, dashboard, files }) => {
  const dash = await dashboard({ image: INSTANT, env: files.env });
  expect(dash.output).toContain(`Services is at https://127.0.0.1:${dash.port}`);
  const arrived = page.waitForResponse((answer) => answer.request().isNavigationRequest());
  const card = await open(page, dash.url);
  expect((await arrived).headers()["content-encoding"]).toBe("gzip");
  const spoken = await page.evaluate(() => performance.getEntriesByType("navigation").map((entry) => (entry as PerformanceNavigationTiming).nextHopProtocol));
  expect(spoken).toEqual(["h2"]);
  await card.button("Start").click();
  await card.shows("Running");
  await card.logShows("Application startup complete");
  await card.button("Stop").click();
  await card.shows("Stopped");
});

test("ten tabs live at once, where six connections of HTTP/1.1 would be all", async ({ context, dashboard, files }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: INSTANT, env: files.env });
  const cards: Card[] = [];
  for (let tab = 0; tab < 10; tab++) cards.push(await open(await context.newPage(), dash.url));
  await dash.command("start");
  for (const card of cards) await card.shows("Running");
  // And there is room for whatever else is asked.
  const last = cards.at(-1);
  await last?.button("Stop").click();
  for (const card of cards) await card.shows("Stopped");
  expect(await dash.down(), "it ends although ten streams are open").toBe(0);
});

test("who asks for http:// is sent to https://, and a program is told", { tag: "@no-engine" }, async ({ page, dashboard, files }) => {
  const dash = await dashboard({ env: files.env });
  await page.goto(`http://127.0.0.1:${dash.port}/services/vllm`);
  expect(page.url()).toBe(`${dash.url}/services/vllm`);
  const plain = await fetch(`http://127.0.0.1:${dash.port}/api/services/vllm/start`, { method: "POST", redirect: "manual" });
  expect(plain.status).toBe(400);
  expect(await plain.text()).toContain("https://");
});

test("requests from other sites are refused over TLS, too, and so is our own name over http", { tag: "@no-engine" }, async ({ dashboard, files }) => {
  const dash = await dashboard({ env: files.env });
  const stop = (origin: string) => dash.ask("/api/services/vllm/stop", { method: "POST", headers: { origin } });
  expect((await stop(dash.url)).status).toBe(202);
  for (const origin of [dash.url.replace("https", "http"), "https://evil.example", "null"]) expect((await stop(origin)).status, origin).toBe(403);
});

test("a renewed certificate is taken up without a restart", { tag: "@no-engine" }, async ({ dashboard, files }) => {
  test.setTimeout(150_000);
  const dash = await dashboard({ env: files.env });
  const before = await fingerprint(dash);
  await files.renew();
  // The files are looked at each minute.
  await until("the new certificate", 100_000, async () => (await fingerprint(dash)) !== before);
  expect((await dash.ask("/healthz")).status).toBe(200);
});

const PASSWORD = "correct horse battery";
const ACCOUNT = { SERVICES_ADMIN: "root", SERVICES_ADMIN_PASSWORD: PASSWORD };

/** A sign-in as any program could send it. */
const signIn = (dash: Dashboard, password: string, headers: Record<string, string> = {}) =>
  dash.ask("/login", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded", ...headers }, body: `name=root&password=${encodeURIComponent(password)}` });

test("whoever signs in over TLS has a cookie for this host and HTTPS alone", { tag: "@no-engine" }, async ({ page, dashboard, files }) => {
  const dash = await dashboard({ accounts: true, env: { ...files.env, ...ACCOUNT } });
  await page.goto(dash.url);
  await page.getByLabel("Name").fill("root");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(`${dash.url}/`);
  await expect(new Card(page).article).toBeVisible();
  const cookies = (await page.context().cookies()).filter(({ name }) => name.startsWith("__Host-services-"));
  expect(cookies.length).toBeGreaterThan(0);
  for (const cookie of cookies) expect([cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path]).toEqual([true, true, "Strict", "/"]);
});

test("a proxy's word makes a request secure and names its client only where the proxy is trusted", { tag: "@no-engine" }, async ({ dashboard }) => {
  const told = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9" };
  const names = (answer: { headers: Record<string, unknown> }) => String(answer.headers["set-cookie"]);
  const behind = await dashboard({ accounts: true, env: { ...ACCOUNT, SERVICES_PROXIES: "127.0.0.1" } });
  expect(names(await signIn(behind, PASSWORD, told))).toContain("__Host-services-");
  expect(names(await signIn(behind, PASSWORD))).not.toContain("__Host-");
  // Who guesses is limited by the address that the proxy tells, and others are not.
  const from = (last: number) => ({ ...told, "x-forwarded-for": `203.0.113.${last}` });
  let refused = 0;
  for (let n = 0; n < 12; n++) if ((await signIn(behind, `wrong password ${n}`, from(9))).status === 429) refused++;
  expect(refused).toBeGreaterThan(0);
  expect((await signIn(behind, PASSWORD, from(9))).status).toBe(429);

  const open = await dashboard({ accounts: true, env: ACCOUNT });
  expect(names(await signIn(open, PASSWORD, told))).not.toContain("__Host-");
  // Another address with each try is no way around the limit where nobody believes it.
  const tries: number[] = [];
  for (let n = 0; n < 12; n++) tries.push((await signIn(open, `wrong password ${n}`, from(n))).status);
  expect(tries).toContain(429);
});
