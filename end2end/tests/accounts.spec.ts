// Who is let in: set-up, sign-in, sessions, roles, tokens, audit, the command line.
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";
import { findings } from "../harness/axe.ts";
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { until } from "../harness/net.ts";
import { Card, expect, test } from "./fixtures.ts";

const PASSWORD = "correct horse battery";
const code = (dash: Dashboard) => /give this code: (\S+)/.exec(dash.output)?.[1] ?? "";

async function setUp(page: Page, dash: Dashboard) {
  await page.goto(dash.url);
  await expect(page).toHaveURL(`${dash.url}/setup`);
  await page.getByLabel("Set-up code").fill(code(dash));
  await page.getByLabel("Name").fill("root");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create the account" }).click();
  await expect(page).toHaveURL(`${dash.url}/`);
}

async function signIn(page: Page, name: string, password = PASSWORD) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** A dashboard with accounts, and one of them; no engine is asked for anything. */
async function house(dashboard: (options?: object) => Promise<Dashboard>, env: Record<string, string> = {}) {
  return dashboard({ image: INSTANT, accounts: true, env: { SERVICES_ADMIN: "root", SERVICES_ADMIN_PASSWORD: PASSWORD, ...env } });
}

const cookieOf = async (page: Page) => (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");

test("the first start asks for the code from the terminal, once", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, accounts: true });
  expect(code(dash)).toMatch(/^[A-Z2-9]{4}(-[A-Z2-9]{4}){3}$/);
  expect((await dash.ask("/api/services")).status).toBe(401);
  await page.goto(`${dash.url}/services/vllm`);
  await expect(page).toHaveURL(`${dash.url}/setup`);
  expect(await findings(page)).toEqual([]);
  await page.getByLabel("Set-up code").fill("AAAA-BBBB-CCCC-DDDD");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create the account" }).click();
  await expect(page.getByRole("alert")).toHaveText("The set-up code is wrong.");
  await page.getByLabel("Set-up code").fill(code(dash).toLowerCase().replaceAll("-", " "));
  await page.getByLabel("Password").fill("short");
  // What the browser itself would stop.
  await page.locator("form.access-form").evaluate((form: HTMLFormElement) => (form.noValidate = true));
  await page.getByRole("button", { name: "Create the account" }).click();
  await expect(page.getByRole("alert")).toContainText("at least 10 characters");
  await setUp(page, dash);
  await new Card(page).shows("Stopped");
  await expect(page.getByRole("link", { name: "root" })).toHaveAttribute("href", "/account");
  // It was good once.
  await page.goto(`${dash.url}/setup`);
  await expect(page).toHaveURL(`${dash.url}/`);
  const again = await dash.ask("/setup", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: `code=${code(dash)}&name=eve&password=${encodeURIComponent(PASSWORD)}` });
  expect(again.status).toBe(409);
  await dash.down();
  dash.output = "";
  await dash.up();
  expect(dash.output).not.toContain("code");
});

test("sign-in leads back, is limited, and its cookies are for us alone", async ({ page, dashboard }) => {
  const dash = await house(dashboard);
  await page.goto(`${dash.url}/services/vllm?run=1&q=a%20b`);
  await expect(page).toHaveURL(/\/login\?back=/);
  expect(await findings(page)).toEqual([]);
  await signIn(page, "root", "a wrong password");
  await expect(page.getByRole("alert")).toHaveText("Name or password is wrong.");
  await signIn(page, "nobody-of-this-name");
  await expect(page.getByRole("alert")).toHaveText("Name or password is wrong.");
  await signIn(page, "root");
  await expect(page).toHaveURL(`${dash.url}/services/vllm?run=1&q=a%20b`);
  for (const cookie of await page.context().cookies()) {
    expect([cookie.name, cookie.httpOnly, cookie.sameSite, cookie.path]).toEqual([expect.stringContaining("services-"), true, "Strict", "/"]);
  }
  // Each sign-in is a new session, and the one before is over.
  const before = await cookieOf(page);
  const form = (password: string, cookie = "") => dash.ask("/login", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded", ...(cookie ? { cookie } : {}) }, body: `name=root&password=${encodeURIComponent(password)}&back=//evil.example` });
  const entered = await form(PASSWORD, before);
  expect([entered.status, entered.headers.location]).toEqual([303, "/"]);
  expect((await dash.ask("/api/services", { headers: { cookie: before } })).status).toBe(401);
  const session = entered.headers["set-cookie"]?.map((text) => text.split(";")[0]).join("; ") ?? "";
  expect((await dash.ask("/api/services", { headers: { cookie: session } })).status).toBe(200);
  // A stranger has ten tries; whoever signed in from this browser before is not kept out by them.
  const tries = [];
  for (let n = 0; n < 12; n++) tries.push((await form(`wrong password ${n}`)).status);
  expect(tries.filter((status) => status === 429).length).toBeGreaterThan(0);
  const late = await form(PASSWORD);
  expect([late.status, Number(late.headers["retry-after"]) > 0]).toEqual([429, true]);
  expect((await form(PASSWORD, session)).status).toBe(303);
});

test("a link on another site leads to those who are signed in, and not to the sign-in", async ({ page, dashboard }) => {
  const dash = await house(dashboard);
  await page.goto(dash.url);
  await signIn(page, "root");
  await expect(page).toHaveURL(`${dash.url}/`);
  const other = http.createServer((_, answer) => answer.setHeader("content-type", "text/html").end(`<a href="${dash.url}/services/vllm">there</a>`));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  try {
    await page.goto(`http://localhost:${(other.address() as AddressInfo).port}/`);
    await page.getByRole("link", { name: "there" }).click();
    await expect(page).toHaveURL(`${dash.url}/services/vllm`);
    await new Card(page).shows("Stopped");
  } finally {
    other.close();
  }
});

test("a session that is ended ends its open pages, too", async ({ page, browser, dashboard }) => {
  const dash = await house(dashboard);
  await page.goto(dash.url);
  await signIn(page, "root");
  await new Card(page).shows("Stopped");
  const elsewhere = await browser.newContext({ userAgent: "Another browser" });
  const other = await elsewhere.newPage();
  await other.goto(dash.url);
  await signIn(other, "root");
  await new Card(other).shows("Stopped");
  await page.getByRole("link", { name: "root" }).click();
  expect(await findings(page)).toEqual([]);
  const row = page.getByRole("row", { name: /Another browser/ });
  await row.getByRole("button", { name: "End" }).click();
  await expect(page.getByRole("status")).toHaveText("Sessions ended: 1.");
  await expect(other).toHaveURL(/\/login/, { timeout: 10_000 });
  // Back where it was, after signing in again.
  await signIn(other, "root");
  await new Card(other).shows("Stopped");
  // A password that is changed ends all others.
  await page.getByLabel("Password now").fill(PASSWORD);
  await page.getByLabel(/^New password/).fill("another good password");
  await page.getByRole("button", { name: "Change" }).click();
  await expect(page.getByRole("status")).toContainText("The password is changed");
  await expect(other).toHaveURL(/\/login/, { timeout: 10_000 });
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL(`${dash.url}/login`);
  await page.goto(`${dash.url}/account`);
  await expect(page).toHaveURL(/\/login/);
  await elsewhere.close();
});

test("each role sees and may what is its own", async ({ page, browser, dashboard }) => {
  const dash = await house(dashboard);
  await page.goto(dash.url);
  await signIn(page, "root");
  await expect(page.getByRole("heading", { name: "Configuration" })).toBeVisible();
  await page.goto(`${dash.url}/accounts`);
  for (const [name, role] of [["eve", "viewer"], ["op", "operator"]] as const) {
    const form = page.locator("form").filter({ has: page.getByRole("button", { name: "Add" }) });
    await form.getByLabel("Name").fill(name);
    await form.getByLabel("Role").selectOption(role);
    await form.getByLabel("Password").fill(PASSWORD);
    await form.getByRole("button", { name: "Add" }).click();
    await expect(page.getByRole("status")).toHaveText("Saved.");
    // To load the page again sends nothing again.
    await page.reload();
    await expect(page.getByRole("alert")).toHaveCount(0);
    await expect(page.getByRole("rowheader", { name, exact: true })).toHaveCount(1);
  }
  expect(await findings(page)).toEqual([]);
  for (const [name, start, settings, stop] of [["eve", false, false, 403], ["op", true, false, 202]] as const) {
    const context = await browser.newContext();
    const theirs = await context.newPage();
    await theirs.goto(dash.url);
    await signIn(theirs, name);
    const card = new Card(theirs);
    await card.shows("Stopped");
    await expect(theirs.getByRole("button", { name: "Start", exact: true })).toBeVisible({ visible: start });
    await expect(theirs.getByRole("heading", { name: "Configuration" })).toHaveCount(settings ? 1 : 0);
    await expect(theirs.getByRole("switch", { name: "Auto-start" })).toBeHidden();
    const cookie = await cookieOf(theirs);
    if (start) {
      await theirs.getByRole("button", { name: "Start", exact: true }).click();
      await card.shows("Running");
    }
    expect((await dash.ask("/api/services/vllm/stop", { method: "POST", headers: { cookie } })).status).toBe(stop);
    for (const path of ["/accounts", "/audit", "/parts/settings/vllm"]) expect((await dash.ask(path, { headers: { cookie } })).status, path).toBe(403);
    await theirs.goto(`${dash.url}/audit`);
    await expect(theirs.getByRole("alert")).toHaveText("This takes the role admin.");
    // A role that is taken away holds at once.
    if (name === "op") {
      await page.getByRole("row", { name: /op/ }).getByLabel("Role").selectOption("viewer");
      await page.getByRole("button", { name: "op: Save" }).click();
      await expect(page.getByRole("status")).toHaveText("Saved.");
      expect((await dash.ask("/api/services/vllm/start", { method: "POST", headers: { cookie } })).status).toBe(403);
    }
    await context.close();
  }
  // The last one who administers stays; removing others is asked first.
  await page.getByRole("row", { name: /root/ }).getByLabel("Role").selectOption("viewer");
  await page.getByRole("button", { name: "root: Save" }).click();
  await expect(page.getByRole("alert")).toHaveText("It is the last account that administers.");
  await page.getByRole("button", { name: "eve: Remove" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Remove" }).click();
  await expect(page.getByRole("row", { name: /eve/ })).toHaveCount(0);
});

test("an API token is shown once, does what its role may, and is taken back", async ({ page, dashboard }) => {
  const dash = await house(dashboard);
  await page.goto(`${dash.url}/account`);
  await signIn(page, "root");
  const form = page.locator("form").filter({ has: page.getByRole("button", { name: "New token" }) });
  await form.getByLabel("Name").fill("monitoring");
  await form.getByRole("button", { name: "New token" }).click();
  const token = await page.locator("#new-token").inputValue();
  expect(token).toMatch(/^services_[0-9a-f]{64}$/);
  const bearer = { headers: { authorization: `Bearer ${token}` } };
  expect((await dash.ask("/api/services", bearer)).status).toBe(200);
  expect((await dash.ask("/api/services/vllm/start", { ...bearer, method: "POST" })).status).toBe(403);
  expect((await dash.ask(`/api/services?token=${token}`)).status, "not in an address").toBe(401);
  await page.goto(`${dash.url}/account`);
  await expect(page.getByRole("row", { name: /monitoring/ })).toBeVisible();
  await expect(page.locator("body")).not.toContainText(token);
  await page.getByRole("row", { name: /monitoring/ }).getByRole("button", { name: "Remove" }).click();
  await expect(page.getByText("No tokens.")).toBeVisible();
  expect((await dash.ask("/api/services", bearer)).status).toBe(401);
  // A new password takes tokens back where that is wanted.
  const other = { headers: { authorization: `Bearer ${(await dash.run(["token", "add", "root", "script", "--role", "viewer"])).trim()}` } };
  const change = async (old: string, wanted: string, tokens: boolean) => {
    await page.getByLabel("Password now").fill(old);
    await page.getByLabel(/^New password/).fill(wanted);
    await page.getByLabel("Also remove my API tokens").setChecked(tokens);
    await page.getByRole("button", { name: "Change" }).click();
    await expect(page.getByRole("status")).toContainText("The password is changed");
  };
  await change(PASSWORD, "another good password", false);
  expect((await dash.ask("/api/services", other)).status).toBe(200);
  await change("another good password", PASSWORD, true);
  expect((await dash.ask("/api/services", other)).status).toBe(401);
});

test("whoever administers sees the tokens of others, and takes them back", async ({ page, dashboard }) => {
  const dash = await house(dashboard);
  const token = (await dash.run(["token", "add", "root", "script", "--role", "operator"])).trim();
  await dash.run(["user", "add", "boss", "--role", "admin"], `${PASSWORD}\n`);
  await page.goto(`${dash.url}/accounts`);
  await signIn(page, "boss");
  const row = page.getByRole("row", { name: /script/ });
  await expect(row).toContainText("root");
  await expect(row).toContainText("operator");
  expect(await findings(page)).toEqual([]);
  await row.getByRole("button", { name: "Remove" }).click();
  await expect(page.getByText("No tokens.")).toBeVisible();
  expect((await dash.ask("/api/services", { headers: { authorization: `Bearer ${token}` } })).status).toBe(401);
  await page.goto(`${dash.url}/audit?action=token-remove`);
  await expect(page.getByRole("row", { name: /token-remove/ })).toContainText("root/script");
});

test("the audit tells who did what, and what was refused", async ({ page, dashboard }) => {
  const dash = await house(dashboard);
  await dash.ask("/login", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: "name=root&password=a+wrong+password" });
  await dash.ask("/api/services/vllm/start", { method: "POST", headers: { origin: "https://evil.example" } });
  await page.goto(dash.url);
  await signIn(page, "root");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await new Card(page).shows("Running");
  await page.getByLabel("GPU_MEMORY_UTILIZATION").first().fill("0.4");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByText("Saved.").first()).toBeVisible();
  await page.goto(`${dash.url}/audit`);
  expect(await findings(page)).toEqual([]);
  const rows = async () => (await page.locator("tbody tr").allInnerTexts()).map((row) => row.split("\t").slice(1).map((cell) => cell.replace(/\s+/g, " ").trim()));
  expect(await rows()).toEqual([
    ["root admin", "127.0.0.1", "settings", "vllm", "done", expect.stringContaining("GPU_MEMORY_UTILIZATION: 0.5 → 0.4")],
    ["root admin", "127.0.0.1", "start", "vllm", "done", ""],
    ["root admin", "127.0.0.1", "sign-in", "", "done", ""],
    ["nobody", "127.0.0.1", "request", "/api/services/vllm/start", "refused: it came from another site", "POST"],
    ["nobody", "127.0.0.1", "sign-in", "root", "refused: name or password is wrong", ""],
  ]);
  await page.getByLabel("Only what was refused or failed").check();
  await page.getByRole("button", { name: "Show" }).click();
  expect(await rows()).toHaveLength(2);
  const cookie = await cookieOf(page);
  const lines = (await dash.ask("/api/audit?action=sign-in", { headers: { cookie } })).body.trim().split("\n").map((line) => JSON.parse(line) as { action: string });
  expect(lines.map(({ action }) => action)).toEqual(["sign-in", "sign-in"]);
  expect(JSON.stringify(await rows()) + dash.output).not.toContain(PASSWORD);
});

test("accounts are managed from the command line, beside a dashboard that runs", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, accounts: true });
  await expect(dash.run(["user", "add", "root", "--role", "boss"], "x")).rejects.toThrow("viewer, operator");
  await expect(dash.run(["user", "add", "root", "--role", "admin"], "short\n")).rejects.toThrow("at least 10 characters");
  await dash.run(["user", "add", "root", "--role", "admin"], `${PASSWORD}\n`);
  await page.goto(dash.url);
  await signIn(page, "root");
  await new Card(page).shows("Stopped");
  expect(await dash.run(["user", "list"])).toMatch(/^root +admin +1 sessions\n$/);
  await dash.run(["user", "password", "root"], "forgotten no more\n");
  await expect(page).toHaveURL(/\/login/, { timeout: 20_000 });
  await signIn(page, "root", "forgotten no more");
  await new Card(page).shows("Stopped");
  const token = (await dash.run(["token", "add", "root", "script", "--role", "viewer"])).trim();
  expect((await dash.ask("/api/services", { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
  await expect(dash.run(["user", "remove", "root"])).rejects.toThrow("the last account that administers");
  await page.goto(`${dash.url}/audit`);
  await expect(page.getByRole("row", { name: /command line.*account-password.*root.*done/ })).toBeVisible();
});

test("--no-auth is for loopback, and says what it means", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await page.goto(dash.url);
  await expect(page.getByRole("note")).toContainText("nobody signs in");
  await dash.down();
  await expect(dash.run(["--no-auth", "--addr", "0.0.0.0:0"])).rejects.toThrow("loopback address only");
});

test("the server stays quick for others while passwords are guessed", async ({ dashboard }) => {
  const dash = await house(dashboard);
  const guess = (n: number) => dash.ask("/login", { method: "POST", timeout: 60_000, headers: { "content-type": "application/x-www-form-urlencoded" }, body: `name=root&password=wrong+guess+${n}` });
  const entered = await dash.ask("/login", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: `name=root&password=${encodeURIComponent(PASSWORD)}` });
  const cookie = entered.headers["set-cookie"]?.map((text) => text.split(";")[0]).join("; ") ?? "";
  const attack = Promise.all(Array.from({ length: 300 }, (_, n) => guess(n)));
  for (let n = 0; n < 50; n++) expect((await dash.ask("/api/services", { headers: { cookie } })).status).toBe(200);
  const answers = (await attack).map(({ status }) => status);
  expect(answers.filter((status) => status === 303)).toEqual([]);
  expect(answers.filter((status) => status === 429 || status === 503).length).toBeGreaterThan(280);
  await until("the owner is let in", 20_000, async () => (await dash.ask("/login", { method: "POST", headers: { cookie, "content-type": "application/x-www-form-urlencoded" }, body: `name=root&password=${encodeURIComponent(PASSWORD)}` })).status === 303);
});

test.describe("without JavaScript, narrow, in Russian", () => {
  test.use({ javaScriptEnabled: false, viewport: { width: 390, height: 844 }, locale: "ru-RU" });
  test("the pages about accounts work", async ({ page, dashboard }) => {
    const dash = await house(dashboard);
    await page.goto(`${dash.url}/account`);
    await page.getByLabel("Имя").fill("root");
    await page.getByLabel("Пароль").fill(PASSWORD);
    await page.getByRole("button", { name: "Войти" }).click();
    for (const [path, title] of [["/account", "Учётная запись"], ["/accounts", "Учётные записи"], ["/audit", "Аудит"]] as const) {
      await page.goto(`${dash.url}${path}`);
      await expect(page.getByRole("heading", { name: title, exact: true })).toBeVisible();
      expect(await page.locator("html").evaluate((html) => html.scrollWidth <= 390), path).toBe(true);
    }
    await page.getByRole("button", { name: "Выйти" }).click();
    await expect(page.getByRole("button", { name: "Войти" })).toBeVisible();
  });
});
