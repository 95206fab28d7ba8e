// Below a path of a host that others live on, too: a proxy keeps /services for us and nothing else.
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";
import { type Dashboard, INSTANT } from "../harness/dashboard.ts";
import { freePort } from "../harness/net.ts";
import { Card, expect, test as base } from "./fixtures.ts";

// The base that is hardest to tell from our own addresses.
const BASE = "/services";
const PASSWORD = "correct horse battery";

interface Proxy {
  url: string;
  /** What was asked of the host outside of our path. */
  strayed: string[];
  /** Where it hands requests on to, and whether it takes the path away. */
  to: (dash: Dashboard, strips: boolean) => void;
}

const test = base.extend<{ front: Proxy }>({
  front: async ({}, use) => {
    const strayed: string[] = [];
    let port = 0;
    let strips = false;
    const server = http.createServer((request, answer) => {
      const path = request.url ?? "";
      if (path !== BASE && !path.startsWith(`${BASE}/`)) {
        // Browsers ask for it by themselves.
        if (path !== "/favicon.ico") strayed.push(`${request.method} ${path}`);
        answer.writeHead(404).end("a neighbour's");
        return;
      }
      const told = strips ? { "x-forwarded-prefix": BASE } : {};
      const asked = strips ? path.slice(BASE.length) || "/" : path;
      const onward = http.request({ port, host: "127.0.0.1", method: request.method, path: asked, headers: { ...request.headers, ...told } }, (got) => {
        answer.writeHead(got.statusCode ?? 502, got.headers);
        got.pipe(answer);
      });
      onward.on("error", () => answer.destroy());
      answer.on("close", () => onward.destroy());
      request.pipe(onward);
    });
    const own = await freePort();
    await new Promise<void>((resolve) => server.listen(own, "127.0.0.1", resolve));
    await use({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      strayed,
      to: (dash, takes) => {
        port = dash.port;
        strips = takes;
      },
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  },
});

/** Every address in the document that stays on this host begins with our path. */
async function staysInside(page: Page) {
  const all = await page.evaluate(() =>
    [...document.querySelectorAll("[href], [src], [action], [formaction], [data-check]")].flatMap((element) =>
      ["href", "src", "action", "formaction", "data-check"].map((name) => element.getAttribute(name) ?? "").filter((value) => value.startsWith("/")),
    ),
  );
  expect(all.length).toBeGreaterThan(3);
  // What follows the path is one of our addresses: /services/vllm alone would be a neighbour's.
  const ours = /^\/services\/($|(services|pkg|api|parts)\/|(login|logout|setup|accounts?|audit|explain|preferences|favicon\.svg)([/?#]|$))/;
  expect(all.filter((address) => !ours.test(address))).toEqual([]);
}

for (const [how, strips] of [
  ["as it was asked", false],
  ["without it, and says so", true],
] as const) {
  test(`all of it works below a path that the proxy hands on ${how}`, async ({ page, dashboard, front }) => {
    test.setTimeout(120_000);
    const dash = await dashboard({ image: INSTANT, accounts: true, args: ["--base-path", `${BASE}/`], env: { SERVICES_PROXIES: "127.0.0.1" } });
    front.to(dash, strips);
    const told = /Open (\S+) and give this code: (\S+)/.exec(dash.output);
    expect(told?.[1]).toBe(`${dash.url}${BASE}/setup`);
    const home = front.url + BASE;

    await page.goto(`${home}/services/vllm`);
    await expect(page).toHaveURL(`${home}/setup`);
    await staysInside(page);
    await page.getByLabel("Set-up code").fill(told?.[2] ?? "");
    await page.getByLabel("Name").fill("root");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create the account" }).click();
    await expect(page).toHaveURL(`${home}/`);
    expect((await page.context().cookies()).map((cookie) => cookie.path)).toEqual([BASE, BASE]);

    // Everything a service is for, with the stream behind it.
    const card = new Card(page);
    await card.button("Start").click();
    await card.shows("Running");
    await card.logShows("Application startup complete");
    await staysInside(page);
    await page.getByRole("button", { name: "Dark" }).click();
    await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
    await page.goto(`${home}/services/vllm`);
    await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
    await staysInside(page);
    await page.getByLabel("GPU_MEMORY_UTILIZATION").fill("0.4");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByText("Saved").first()).toBeVisible();
    await page.getByRole("link", { name: "Container logs" }).click();
    await expect(page.getByText("Application startup complete").first()).toBeVisible();
    await page.goBack();

    // The other pages, and what leads from one to the next.
    for (const place of ["/", "/services/vllm/search?q=startup", "/explain", "/account", "/accounts", "/audit", "/services/nobody"]) {
      await page.goto(home + place);
      await staysInside(page);
    }
    await page.goto(`${home}/services/vllm/search?q=startup`);
    await page.getByRole("link", { name: /^Run \d+, line \d+$/ }).first().click();
    await expect(page).toHaveURL(new RegExp(`${home}/services/vllm\\?run=\\d+&line=\\d+`));
    await expect(page.locator("mark").first()).toBeVisible();
    await page.getByTitle("Русский").click();
    await expect(page.locator("html")).toHaveAttribute("lang", "ru");
    expect(new URL(page.url()).pathname).toBe(`${BASE}/services/vllm`);
    await page.getByTitle("English").click();

    // Signing out, and back to where one was.
    await page.goto(`${home}/account`);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await expect(page).toHaveURL(`${home}/login`);
    await page.goto(`${home}/services/vllm?run=1`);
    await expect(page).toHaveURL(/\/services\/login\?back=/);
    await page.getByLabel("Name").fill("root");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL(`${home}/services/vllm?run=1`);
    // What a role may not do is not offered here either.
    await dash.run(["user", "add", "eve", "--role", "viewer"], `${PASSWORD}\n`);
    await page.context().clearCookies();
    await page.goto(`${home}/login`);
    await page.getByLabel("Name").fill("eve");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await card.shows("Running");
    await expect(page.getByRole("button", { name: "Stop", exact: true })).toBeHidden();
    expect(front.strayed).toEqual([]);
  });
}

test("a form without JavaScript stays below the path", async ({ browser, dashboard, front }) => {
  const dash = await dashboard({ image: INSTANT, env: { SERVICES_BASE_PATH: BASE } });
  front.to(dash, false);
  const page = await browser.newPage({ javaScriptEnabled: false });
  await page.goto(`${front.url}${BASE}/services/vllm`);
  await page.getByRole("button", { name: "Start", exact: true }).click();
  expect(new URL(page.url()).pathname).toBe(`${BASE}/services/vllm`);
  await expect(async () => {
    await page.reload();
    await expect(page.getByRole("status").first()).toHaveText("Running");
  }).toPass({ timeout: 45_000 });
  await page.getByRole("button", { name: "Dark" }).click();
  expect(new URL(page.url()).pathname).toBe(`${BASE}/services/vllm`);
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  expect(front.strayed).toEqual([]);
  await page.close();
});

test("a base that is none is refused", { tag: "@no-engine" }, async ({ dashboard }) => {
  for (const path of ["llm", "/a b", "/a//b", "/..", "/<b>", "/a?b"]) {
    await expect(dashboard({ env: { SERVICES_BASE_PATH: path } })).rejects.toThrow(/SERVICES_BASE_PATH .*allowed is a path/s);
  }
});
