// Who is told: targets of webhooks with their tests, and this browser itself where its address allows that.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";
import { chromium } from "../playwright.config.ts";
import { findings } from "../harness/axe.ts";
import { Card, expect, test } from "./fixtures.ts";

// A name of this machine that browsers do not take for safe.
test.use({ launchOptions: { ...chromium, args: [...chromium.args, "--host-resolver-rules=MAP box.lan 127.0.0.1"] } });

interface Told {
  title: string;
  body: string;
  tag: string;
}

/** The browser's own notifications, kept where the test can see them; nobody has been asked yet. */
async function watched(page: Page, answer = "granted") {
  await page.addInitScript((answer) => {
    const told: Told[] = [];
    class Fake {
      static permission = sessionStorage.getItem("permission") ?? "default";
      static async requestPermission() {
        sessionStorage.setItem("permission", answer);
        Fake.permission = answer;
        return answer;
      }
      constructor(title: string, options: { body: string; tag: string }) {
        told.push({ title, ...options });
      }
    }
    Object.assign(window, { Notification: Fake, told });
  }, answer);
}

const told = (page: Page) => page.evaluate(() => (window as unknown as { told: Told[] }).told);

/** A service that fails until a file is there. */
const service = (file: string) =>
  `[[service]]\nname = "one"\ntitle = "One"\nkind = "process"\ncommand = ["sh", "-c", "if [ -e ${file} ]; then exec sleep 600; fi; exit 3"]\n`;

async function opened(page: Page, url: string) {
  const stream = page.waitForRequest((request) => new URL(request.url()).pathname === "/api/stream");
  await page.goto(url);
  await stream;
  return new Card(page, "One");
}

test("the browser tells of a failure and of its end, once over all tabs, and only when it was asked to", { tag: "@no-engine" }, async ({ page, context, dashboard }, info) => {
  const file = info.outputPath("well");
  const dash = await dashboard({ toml: service(file) });
  await watched(page);
  const it = await opened(page, dash.url);
  await it.button("Start").click();
  await it.shows("Failed");
  expect(await told(page), "nobody asked for it").toEqual([]);

  await page.getByRole("button", { name: "Notify me in this browser" }).click();
  await expect(page.getByRole("button", { name: "Stop notifying me in this browser" })).toBeVisible();
  const second = await context.newPage();
  // A browser's answer is for all its tabs.
  await second.addInitScript(() => sessionStorage.setItem("permission", "granted"));
  await watched(second);
  await opened(second, dash.url);
  await expect(second.getByRole("button", { name: "Stop notifying me in this browser" })).toBeVisible();

  await it.button("Start").click();
  await expect.poll(async () => (await told(page)).length).toBe(1);
  const [failed] = await told(page);
  // Whole notifications, so that a difference says what was told twice.
  await expect.poll(() => told(second)).toEqual([failed]);
  expect(failed?.title).toBe("One: Failed");
  expect(failed?.body).toContain("exit code 3");
  expect((await told(second))[0]?.tag, "the same tag: the browser shows it once").toBe(failed?.tag);

  await writeFile(file, "");
  await it.button("Start").click();
  await it.shows("Running");
  await expect.poll(async () => (await told(page)).map(({ title }) => title)).toEqual(["One: Failed", "One: Running"]);
  expect((await told(page))[1]?.tag).not.toBe(failed?.tag);

  await page.getByRole("button", { name: "Stop notifying me in this browser" }).click();
  await expect(page.getByRole("button", { name: "Notify me in this browser" })).toBeVisible();
  await dash.command("stop", "one");
  await it.shows("Stopped");
  expect(await told(page)).toHaveLength(2);
});

test("a browser that was told not to is said to be", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const dash = await dashboard({ toml: service("/nonexistent") });
  await watched(page, "denied");
  await opened(page, dash.url);
  await page.getByRole("button", { name: "Notify me in this browser" }).click();
  await expect(page.getByText("This browser was told not to show notifications of this page")).toBeVisible();
  await expect(page.getByRole("button", { name: /notify/i })).toHaveCount(0);
});

test("without script the part says what is missing", { tag: "@no-engine" }, async ({ browser, dashboard }) => {
  const dash = await dashboard({ toml: service("/nonexistent") });
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(dash.url);
  await expect(page.getByText("Notifications of the browser need JavaScript.")).toBeVisible();
  await expect(page.getByText("Add [[notify]] to services.toml")).toBeVisible();
  await context.close();
});

test("targets are listed without their tokens, and Test sends one message", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const bodies: string[] = [];
  const hook = createServer((request, response) => {
    let body = "";
    request.on("data", (piece: Buffer) => (body += piece.toString()));
    request.on("end", () => {
      bodies.push(body);
      response.writeHead(204).end();
    });
  });
  hook.listen(0, "127.0.0.1");
  await once(hook, "listening");
  const { port } = hook.address() as AddressInfo;
  try {
    // What else the machine has to tell, such as a nearly full disk, is none of this test.
    const target = `[[notify]]\nname = "team"\nurl = "http://127.0.0.1:${port}/planted?token=planted"\npreset = "discord"\nlanguage = "ru"\nfloor = "error"\n`;
    const dash = await dashboard({ toml: service("/nonexistent") + target });
    await opened(page, dash.url);
    const part = page.getByRole("region", { name: "Notifications" }).first();
    await expect(part.getByRole("row", { name: /team/ })).toContainText("none yet");
    await part.getByRole("button", { name: "Test team" }).click();
    await expect(part.getByText("team: the test was sent.")).toBeVisible();
    await expect(part.getByRole("row", { name: /team/ })).toContainText(/UTC sent/);
    await expect(part.getByRole("button", { name: "Notify me in this browser" }), "the switch is there after the part was replaced").toBeVisible();
    expect(bodies).toHaveLength(1);
    expect(JSON.parse(bodies[0] ?? "").content).toContain("Проверка от Services");
    expect(await page.content()).not.toContain("planted");
    expect(await findings(page)).toEqual([]);
  } finally {
    hook.close();
  }
});

test("over plain HTTP from elsewhere the page says that the browser shows none", { tag: "@no-engine" }, async ({ browser, dashboard }) => {
  const dash = await dashboard({ toml: service("/nonexistent"), env: { SERVICES_HOSTS: "box.lan" } });
  // A page of its own: Chromium logs an error for a header that it ignores at such addresses.
  const context = await browser.newContext();
  const page = await context.newPage();
  await opened(page, dash.url.replace("127.0.0.1", "box.lan"));
  await expect(page.getByText("only of pages over HTTPS or on this very machine")).toBeVisible();
  await expect(page.getByRole("button", { name: /notify/i })).toHaveCount(0);
  await context.close();
});
