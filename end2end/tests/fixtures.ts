// What every test has: dashboards that are removed with all they made, and the page by its fixed names.
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect, type Locator, type Page } from "@playwright/test";
import { Dashboard, type Options } from "../harness/dashboard.ts";
import { socket } from "../harness/docker.ts";

interface Fixtures {
  /** Starts a dashboard on the tests' engine. */
  dashboard: (options?: Options) => Promise<Dashboard>;
  /** Starts a dashboard whose service is a command on the PATH; `before` is shell that runs ahead of it. */
  process: (env?: Record<string, string>, before?: string) => Promise<Dashboard>;
}

export const test = base.extend<{ engineOrSkip: void } & Fixtures>({
  engineOrSkip: [
    async ({}, use, info) => {
      const needed = !info.tags.includes("@no-engine");
      if (needed && socket === "") {
        if (process.env["CI"] === "true") throw new Error("CI=true skips nothing, and there is no test engine");
        info.skip(true, "no test engine: it needs root");
      }
      await use();
    },
    { auto: true },
  ],

  dashboard: async ({}, use, info) => {
    const made: Dashboard[] = [];
    await use(async (options) => {
      const one = await Dashboard.create(options);
      made.push(one);
      await one.up();
      return one;
    });
    for (const one of made) {
      await one.remove();
      if (info.status !== info.expectedStatus) await info.attach("dashboard.log", { body: one.output, contentType: "text/plain" });
      // A panic is a defect whatever the test was about.
      expect.soft(one.output, "the dashboard's own output").not.toMatch(/panicked at/);
    }
  },

  // A `vllm` on the PATH, and nothing of it left afterwards.
  process: async ({ dashboard }, use) => {
    const folder = await mkdtemp(join(tmpdir(), "services-path-"));
    const made: Dashboard[] = [];
    await use(async (env = {}, before = "") => {
      const script = `#!/bin/sh\nexport SIM_SPEED="\${SIM_SPEED:-0}" SIM_CONTROL=1\n${before}\nexec ${process.env["SERVICES_TEST_SIM"]} "$@"\n`;
      await writeFile(join(folder, "vllm"), script);
      await chmod(join(folder, "vllm"), 0o755);
      const one = await dashboard({ env: { VLLM_RUNTIME: "process", PATH: `${folder}:${process.env["PATH"]}`, ...env } });
      made.push(one);
      return one;
    });
    for (const one of made) {
      if (!one.alive) await one.up();
      await one.command("stop");
      await one.state("stopped", "failed");
    }
    await rm(folder, { recursive: true, force: true });
  },

  // A page that logs an error or throws has a defect, whatever the test was about.
  page: async ({ page }, use) => {
    const wrong: string[] = [];
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" && !/Failed to load resource|net::ERR/.test(message.text())) wrong.push(message.text());
    });
    await use(page);
    expect.soft(wrong, "errors of the page").toEqual([]);
  },
});

export { expect };

/** The words of the states, as the page writes them in English. */
export type Word = "Stopped" | "Starting" | "Running" | "Stopping" | "Failed" | "Unresponsive" | "Unreachable";

/** The page by the names that DESIGN fixes. */
export class Card {
  readonly article: Locator;
  readonly status: Locator;
  readonly log: Locator;

  constructor(
    readonly page: Page,
    title = "vLLM",
  ) {
    this.article = page.getByRole("article", { name: title, exact: true });
    this.status = this.article.getByRole("status");
    this.log = page.getByRole("log", { name: "Logs" });
  }

  button(name: string) {
    return this.article.getByRole("button", { name, exact: true });
  }

  /** The value beside a name such as Model. */
  value(name: string) {
    return this.article.locator("dt", { hasText: new RegExp(`^\\s*${name}\\s*$`) }).locator("xpath=following-sibling::dd[1]");
  }

  async shows(word: Word, timeout = 30_000) {
    await expect(this.status).toContainText(word, { timeout });
  }

  /** Waits for a text among the rows that are in view; says where the log is instead, and not all of it. */
  async logShows(wanted: string | RegExp, timeout = 15_000) {
    const found = (text: string) => (typeof wanted === "string" ? text.includes(wanted) : wanted.test(text));
    const look = async () => {
      const text = await this.log.innerText();
      return found(text) ? "shown" : `the last row is: ${text.trimEnd().split("\n").at(-1)?.slice(0, 200)}`;
    };
    await expect.poll(look, { message: `the log shows ${String(wanted)}`, timeout, intervals: [100, 250, 500] }).toBe("shown");
  }

  async logLacks(unwanted: string) {
    await expect.poll(async () => (await this.log.innerText()).includes(unwanted), { message: `the log still shows ${unwanted}` }).toBe(false);
  }

  checkbox(level: string) {
    return this.page.getByRole("checkbox", { name: level, exact: true });
  }
}

/** Opens the page, and waits until it lives: its stream is asked for once the WASM has taken over. */
export async function open(page: Page, url: string): Promise<Card> {
  const stream = page.waitForRequest((request) => new URL(request.url()).pathname === "/api/stream");
  await page.goto(url);
  await stream;
  const card = new Card(page);
  await expect(card.article).toBeVisible();
  return card;
}
