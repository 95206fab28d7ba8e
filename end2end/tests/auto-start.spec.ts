// The switch that keeps a service running: with the dashboard, after a crash within a budget, after a reboot; and who else restarts it.
import type { Page } from "@playwright/test";
import { INSTANT, type Dashboard, type Service } from "../harness/dashboard.ts";
import { docker, inspect, simImage, unique } from "../harness/docker.ts";
import { freePort, sleep, until } from "../harness/net.ts";
import { containerState, plainEngine, reboot } from "../harness/reboot.ts";
import { Sim } from "../harness/sim.ts";
import { Card, expect, open, test } from "./fixtures.ts";

interface Kept extends Service {
  auto_start: boolean;
  auto_start_fixed: boolean;
  restarts: { failures: number; budget: number; window_s: number; next: string | null; resets: string | null } | null;
}

const kept = async (dash: Dashboard, name = "vllm") => (await dash.service(name)) as Kept;
const autoStart = (card: Card) => card.article.getByRole("switch", { name: "Auto-start", exact: true });
const again = (nth: number, budget = 3, minutes = 10) => new RegExp(`starts again by itself in \\d+ s \\(failure ${nth} of ${budget} within ${minutes} min\\)`);
const failing = () => simImage({ SIM_SPEED: "0", SIM_FAIL: "bad-arch" });
const service = (name: string, ...lines: string[]) => [`[[service]]`, `name = "${name}"`, ...lines, ""].join("\n");
const now = () => (Date.now() / 1000).toFixed(3);

function turn(dash: Dashboard, on: boolean, name = "vllm") {
  return dash.ask("/api/fn/auto-start", {
    method: "POST",
    body: `service=${name}&on=${on}`,
    headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
  });
}

async function keep(dash: Dashboard, name = "vllm") {
  expect((await turn(dash, true, name)).status).toBeLessThan(400);
  await until("the switch", 5_000, async () => (await kept(dash, name)).auto_start);
}

/** How often the engine has started a container, by its own account. */
async function starts(container: string, since: string) {
  const events = await docker("events", "--since", since, "--until", now(), "--filter", `container=${container}`, "--filter", "event=start", "--format", "{{.TimeNano}}");
  return events.split("\n").filter(Boolean).length;
}

/** Nothing is started any more: that can only be waited for, longer than the next try would have taken. */
async function startsStay(wanted: number, container: string, since: string, ms: number) {
  expect(await starts(container, since)).toBe(wanted);
  await sleep(ms);
  expect(await starts(container, since), "starts after a while").toBe(wanted);
}

async function is(dash: Dashboard, name: string, word: string) {
  await until(`${name} to be ${word}`, 45_000, async () => (await dash.service(name)).state.state === word);
}

/** Ends the process of a container that runs, and waits until another run serves. */
async function killedAndBack(dash: Dashboard, card: Card) {
  const { run } = await dash.service();
  await docker("kill", dash.container);
  await expect.poll(async () => (await dash.service()).run, { timeout: 30_000, message: "another run" }).not.toBe(run);
  await dash.state("running");
  await card.shows("Running");
}

test("the switch is turned on and off, and a restart of the dashboard leaves it as it is", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  await expect(autoStart(card)).toHaveAttribute("aria-checked", "false");
  await expect(autoStart(card)).toHaveAttribute("aria-disabled", "false");
  await autoStart(card).click();
  await expect(autoStart(card)).toHaveAttribute("aria-checked", "true");
  expect((await kept(dash)).auto_start).toBe(true);
  // Turning it is no command: nothing is started.
  expect((await dash.service()).state.state).toBe("stopped");

  await dash.down();
  await dash.up();
  await open(page, dash.url);
  await expect(autoStart(card)).toHaveAttribute("aria-checked", "true");
  await autoStart(card).press("Space");
  await expect(autoStart(card)).toHaveAttribute("aria-checked", "false");
  await dash.down();
  await dash.up();
  await open(page, dash.url);
  await expect(autoStart(card)).toHaveAttribute("aria-checked", "false");
});

test("what is kept running is started with the dashboard", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await keep(dash);
  await dash.down();
  await dash.up();
  await dash.state("running");
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("the switch is a form", async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    await page.goto(`${dash.url}/services/vllm`);
    const card = new Card(page);
    for (const wanted of ["true", "false"]) {
      await autoStart(card).click();
      await expect(page).toHaveURL(/\/services\/vllm\??$/);
      await until("the switch", 5_000, async () => String((await kept(dash)).auto_start) === wanted);
      await page.reload();
      await expect(autoStart(card)).toHaveAttribute("aria-checked", wanted);
    }
  });
});

for (const value of [true, false])
  test(`auto_start = ${value} in services.toml is shown as fixed there, and the page cannot change it`, async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT, toml: service("vllm", `auto_start = ${value}`) });
    const card = await open(page, dash.url);
    await expect(autoStart(card)).toHaveAttribute("aria-checked", String(value));
    await expect(autoStart(card)).toHaveAttribute("aria-disabled", "true");
    await expect(autoStart(card)).toHaveAttribute("title", /services\.toml/);
    await autoStart(card).click({ force: true });
    const refused = await turn(dash, !value);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.body).toContain("auto_start");
    expect(await kept(dash)).toMatchObject({ auto_start: value, auto_start_fixed: true });
    await expect(autoStart(card)).toHaveAttribute("aria-checked", String(value));
    if (value) await card.shows("Running");
    else await card.shows("Stopped");
  });

test("a kept service whose process is killed is started again by itself, and says when", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const card = await open(page, dash.url);
  await autoStart(card).click();
  await expect(autoStart(card)).toHaveAttribute("aria-checked", "true");
  const { run } = await dash.running();
  await card.shows("Running");
  await docker("kill", dash.container);
  await card.shows("Failed");
  await expect(card.article).toContainText(again(1));
  await expect.poll(async () => (await dash.service()).run, { timeout: 30_000 }).not.toBe(run);
  await card.shows("Running");
  await expect(card.article).not.toContainText("starts again by itself");
});

test("Stop while a restart is waited for cancels it", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await keep(dash);
  await dash.running();
  const card = await open(page, dash.url);
  // The second wait is the longer one.
  await killedAndBack(dash, card);
  const since = now();
  await docker("kill", dash.container);
  await expect(card.article).toContainText(again(2));
  await card.button("Stop").click();
  await card.shows("Stopped");
  await expect(card.article).not.toContainText("starts again by itself");
  await startsStay(0, dash.container, since, 8_000);
  await card.shows("Stopped");
  expect((await kept(dash)).auto_start, "the switch stays on").toBe(true);
});

test("the switch turned off while a restart is waited for cancels it", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await keep(dash);
  await dash.running();
  const card = await open(page, dash.url);
  await killedAndBack(dash, card);
  const since = now();
  await docker("kill", dash.container);
  await expect(card.article).toContainText(again(2));
  await autoStart(card).click();
  await expect(card.article).not.toContainText("starts again by itself");
  await startsStay(0, dash.container, since, 8_000);
});

test("with the switch off nothing is started again", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  const since = now();
  await docker("kill", dash.container);
  await card.shows("Failed");
  await expect(card.article).not.toContainText("by itself");
  await startsStay(0, dash.container, since, 5_000);
  expect((await kept(dash)).restarts).toBeNull();
});

test("what always fails is tried three times, stays Failed, and says when the budget resets; Start by hand works all the same", async ({ page, dashboard }) => {
  test.setTimeout(120_000);
  const dash = await dashboard({ image: await failing() });
  await keep(dash);
  const card = await open(page, dash.url);
  const begin = Date.now();
  const since = now();
  await card.button("Start").click();
  await expect(card.article).toContainText(again(1));
  const first = Date.now();
  await expect(card.article).toContainText(again(2));
  await expect(card.article).toContainText("It failed 3 times within 10 min and is not started again by itself.", { timeout: 30_000 });
  await card.shows("Failed");
  const { restarts } = await kept(dash);
  expect(restarts).toMatchObject({ failures: 3, budget: 3, window_s: 600, next: null });
  // Ten minutes after the first failure.
  expect(Date.parse(restarts?.resets ?? "") - 600_000).toBeGreaterThanOrEqual(begin - 1_000);
  expect(Date.parse(restarts?.resets ?? "") - 600_000).toBeLessThanOrEqual(first + 1_000);
  await startsStay(3, dash.container, since, 12_000);

  await dash.down();
  await dash.up();
  expect((await kept(dash)).restarts).toEqual(restarts);
  await open(page, dash.url);
  await card.shows("Failed");
  await expect(card.article).toContainText("is not started again by itself");
  await startsStay(3, dash.container, since, 6_000);

  await expect(card.button("Start")).toHaveAttribute("aria-disabled", "false");
  await card.button("Start").click();
  await until("a start by hand", 15_000, async () => (await starts(dash.container, since)) > 3);
  await dash.command("stop");
});

for (const signal of ["SIGTERM", "SIGKILL"] as const)
  test(`a dashboard ended by ${signal} between two tries gives no new budget`, async ({ page, dashboard }) => {
    test.setTimeout(120_000);
    const dash = await dashboard({ image: await failing() });
    await keep(dash);
    const card = await open(page, dash.url);
    const since = now();
    await card.button("Start").click();
    await expect(card.article).toContainText(again(2), { timeout: 30_000 });
    await dash.down(signal);
    expect(await starts(dash.container, since)).toBe(2);
    await dash.up();
    await until("the end of the budget", 30_000, async () => {
      const { state, restarts } = await kept(dash);
      return state.state === "failed" && restarts?.failures === 3 && restarts.next === null;
    });
    await startsStay(3, dash.container, since, 10_000);
  });

test("the budget and its window are set in services.toml", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: await failing(), toml: service("vllm", "restart_budget = 2", "restart_window_s = 60") });
  await keep(dash);
  const card = await open(page, dash.url);
  const since = now();
  await card.button("Start").click();
  await expect(card.article).toContainText(again(1, 2, 1));
  await expect(card.article).toContainText("It failed 2 times within 1 min and is not started again by itself.", { timeout: 30_000 });
  const { restarts } = await kept(dash);
  expect(restarts).toMatchObject({ failures: 2, budget: 2, window_s: 60, next: null });
  expect(Date.parse(restarts?.resets ?? "")).toBeLessThanOrEqual(Date.now() + 60_000);
  await startsStay(2, dash.container, since, 8_000);
});

test("a window that is no whole minute is said as it is", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: await failing(), toml: service("vllm", "restart_budget = 1", "restart_window_s = 30") });
  await keep(dash);
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await expect(card.article).toContainText("is not started again by itself", { timeout: 30_000 });
  await expect(card.article).toContainText(/within 30 s/);
});

test("failures older than the window do not count", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, toml: service("vllm", "restart_budget = 2", "restart_window_s = 10") });
  await keep(dash);
  await dash.running();
  const card = await open(page, dash.url);
  await killedAndBack(dash, card);
  const { restarts } = await kept(dash);
  const resets = Date.parse(restarts?.resets ?? "");
  expect(resets).toBeGreaterThan(Date.now() - 10_000);
  await until("the reset", 20_000, async () => Date.now() > resets);
  await killedAndBack(dash, card);
});

test.describe("a reboot of the machine", () => {
  // Other tests need the engine as it was.
  test.afterEach(plainEngine);

  const words = ["kept", "page", "terminal", "off"] as const;

  /** Four services that run; the first three are kept. */
  async function machine(page: Page, dashboard: (options: { toml: string }) => Promise<Dashboard>) {
    const containers = Object.fromEntries(words.map((word) => [word, unique(word)])) as Record<(typeof words)[number], string>;
    let toml = "";
    for (const word of words)
      toml += service(word, `container = "${containers[word]}"`, `image = "${INSTANT}"`, `model = "Qwen/Qwen2.5-7B-Instruct"`, `api_url = "http://127.0.0.1:${await freePort()}"`);
    const dash = await dashboard({ toml });
    for (const word of words) {
      dash.owns(containers[word]);
      await dash.command("start", word);
      if (word !== "off") await keep(dash, word);
    }
    for (const word of words) await is(dash, word, "running");
    const stream = page.waitForRequest((request) => new URL(request.url()).pathname === "/api/stream");
    await page.goto(dash.url);
    await stream;
    const stopped = new Card(page, "page");
    await stopped.button("Stop").click();
    await stopped.shows("Stopped");
    await docker("stop", "--time", "5", containers.terminal);
    await new Card(page, "terminal").shows("Stopped");
    return { dash, containers };
  }

  for (const [how, first] of [["shutdown", "engine"], ["power-cut", "dashboard"]] as const)
    test(`after a ${how} what is kept runs again by itself, and what somebody stopped or nobody keeps stays down`, async ({ page, dashboard }) => {
      test.setTimeout(150_000);
      const { dash, containers } = await machine(page, dashboard);
      await reboot(dash, { how, first, meanwhile: async () => void (await page.goto("about:blank")) });
      await is(dash, "kept", "running");
      expect(await containerState(containers.kept)).toBe("running");
      // Whatever is started with the dashboard is started at once.
      await sleep(3_000);
      for (const word of ["page", "terminal", "off"] as const) {
        expect.soft(await containerState(containers[word]), `stopped by ${word}`).toMatch(/^exited/);
        expect.soft((await dash.service(word)).state.state, `stopped by ${word}`).toMatch(/^(stopped|failed)$/);
      }
      for (const word of ["page", "terminal"] as const) {
        expect.soft((await kept(dash, word)).auto_start, "its switch stays on").toBe(true);
        // By hand it goes on as before.
        await dash.command("start", word);
        await is(dash, word, "running");
      }
    });
});

test.describe("a container with a restart policy of its own", () => {
  const VLLM = ["--model", "Qwen/Qwen2.5-7B-Instruct", "--served-model-name", "theirs", "--port", "8000"];

  /** As its owner would have made it by hand. */
  async function theirs(name: string, policy: string) {
    const port = await freePort();
    await docker("run", "-d", "--name", name, "--restart", policy, "-p", `127.0.0.1:${port}:8000`, INSTANT, ...VLLM);
    const sim = new Sim(`http://127.0.0.1:${port}`);
    await sim.healthy();
    return sim;
  }

  for (const policy of ["always", "unless-stopped"])
    test(`${policy} is shown, and Services takes over without making the container anew`, async ({ page, dashboard }) => {
      const name = unique("theirs");
      await theirs(name, policy);
      const dash = await dashboard({ env: { VLLM_CONTAINER: name, VLLM_API_URL: "" } });
      const card = await open(page, dash.url);
      await card.shows("Running");
      await expect(card.article).toContainText(`The engine restarts this container by itself (${policy})`);
      await expect(autoStart(card)).toHaveAttribute("aria-checked", "false");
      const before = await inspect(name);

      await card.button("Let Services do it").click();
      await expect(autoStart(card)).toHaveAttribute("aria-checked", "true");
      await expect(card.button("Let Services do it")).toHaveCount(0);
      await expect(card.article).not.toContainText("The engine restarts this container by itself");
      const after = await inspect(name);
      expect(after?.HostConfig.RestartPolicy.Name).toBe("no");
      expect(after).toMatchObject({ Id: before?.Id, State: { StartedAt: before?.State.StartedAt, Running: true } });
      await card.shows("Running");

      await killedAndBack(dash, card);
      expect((await inspect(name))?.Id, "never recreated").toBe(before?.Id);
    });

  test("what Docker restarts itself is left to Docker, with the switch on, too", async ({ page, dashboard }) => {
    const name = unique("theirs");
    const sim = await theirs(name, "always");
    const dash = await dashboard({ env: { VLLM_CONTAINER: name, VLLM_API_URL: "" } });
    const card = await open(page, dash.url);
    await card.shows("Running");
    await autoStart(card).click();
    await expect(autoStart(card)).toHaveAttribute("aria-checked", "true");
    const { run } = await dash.service();
    const since = now();
    await sim.exit(1);
    await expect.poll(async () => (await dash.service()).run, { timeout: 30_000 }).not.toBe(run);
    await card.shows("Running");
    expect(await starts(name, since)).toBe(1);
    expect((await kept(dash)).restarts).toBeNull();
    expect((await inspect(name))?.HostConfig.RestartPolicy.Name, "only the button ends it").toBe("always");
  });

  test("Services adds no try to those of Docker", async ({ page, dashboard }) => {
    const name = unique("theirs");
    const dash = await dashboard({ env: { VLLM_CONTAINER: name } });
    await keep(dash);
    const card = await open(page, dash.url);
    const since = now();
    await docker("run", "-d", "--name", name, "--restart", "on-failure:2", await failing(), ...VLLM);
    await until("Docker's last try", 30_000, async () => (await starts(name, since)) === 3);
    await card.shows("Failed");
    await startsStay(3, name, since, 6_000);
    await expect(card.article).not.toContainText("starts again by itself");
  });
});
