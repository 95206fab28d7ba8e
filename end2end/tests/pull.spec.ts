// Pulling the image of a service: what is shown meanwhile, what goes wrong, and the way to the new image and back.
import { readFile, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator } from "@playwright/test";
import { docker, root, socket, unique } from "../harness/docker.ts";
import { until } from "../harness/net.ts";
import { engineDown, engineUp, plainEngine, reboot } from "../harness/reboot.ts";
import { MB, Registry, simulatedVllm, type Image } from "../harness/registry.ts";
import { Card, expect, open, test as base } from "./fixtures.ts";

const NAME = "vllm/vllm-openai:latest";

// Automatic, so that it ends after the dashboards: an image with a container cannot be removed.
const test = base.extend<{ registry: Registry }>({
  registry: [
    async ({}, use) => {
      const registry = await Registry.start();
      await use(registry);
      await registry.down();
      if (socket !== "") for (const { id } of registry.images) await docker("rmi", "-f", id).catch(() => "");
    },
    { auto: true },
  ],
});

const image = (seed = "one") => simulatedVllm({ seed, layers: [20 * MB, 20 * MB] });

/** The pull as the card shows it. */
class Pull {
  readonly bar: Locator;
  readonly line: Locator;
  readonly layers: Locator;

  constructor(readonly card: Card) {
    this.bar = card.article.getByRole("progressbar", { name: "Pull", exact: true });
    this.line = card.article.getByText(/[\d.,]+( [KMG]iB)? of [\d.,]+ [KMG]iB · [\d.,]+ [KMG]iB\/s · about .+ left/);
    this.layers = card.article.locator("details").filter({ hasText: "Layers" });
  }

  begin() {
    return this.card.button("Pull image").click();
  }

  /** From 0 to 1. */
  share() {
    return this.bar.evaluate((bar) =>
      bar instanceof HTMLProgressElement ? bar.position : Number(bar.getAttribute("aria-valuenow")) / Number(bar.getAttribute("aria-valuemax") ?? 100),
    );
  }

  async past(share: number) {
    await expect.poll(() => this.share(), { message: `the pull is past ${share}`, timeout: 20_000 }).toBeGreaterThan(share);
  }

  async says(words: string | RegExp, timeout = 20_000) {
    await expect(this.card.article).toContainText(words, { timeout });
  }

  async done(timeout = 30_000) {
    await this.says(/Pulled/, timeout);
    await expect(this.bar).toBeHidden();
    await expect(this.card.button("Pull image")).toBeEnabled();
  }
}

const has = (wanted: Image) => docker("image", "inspect", "-f", "{{.Id}}", wanted.id).then(
  (id) => id === wanted.id,
  () => false,
);
const imageOf = (container: string) => docker("inspect", "-f", "{{.Image}}", container);

test("a pull says how much there is, how fast it comes and when it will be here, and for each layer", async ({ page, dashboard, registry }) => {
  const wanted = image();
  const dash = await dashboard({ image: registry.put(NAME, wanted) });
  registry.bytesPerSecond = 4 * MB;
  const card = await open(page, dash.url);
  const pull = new Pull(card);
  await pull.begin();
  await expect(pull.bar).toBeVisible();
  await pull.past(0);
  await expect(pull.line).toBeVisible();
  // The engine says a layer's size when the layer begins, and a rate needs a moment to be one.
  await expect(async () => {
    const [, total, unit, rate, per] = /of ([\d.,]+) ([KMG]iB) · ([\d.,]+) ([KMG]iB)\/s/.exec(await pull.line.innerText()) ?? [];
    expect([unit, per]).toEqual(["MiB", "MiB"]);
    // Twice 20 MB and the program, compressed; buffers on the way run ahead of the throttle.
    expect(Number(total)).toBeGreaterThan(38);
    expect(Number(total)).toBeLessThan(50);
    expect(Number(rate)).toBeGreaterThan(3);
    expect(Number(rate)).toBeLessThan(9);
  }).toPass({ timeout: 6_000, intervals: [200] });

  await pull.layers.getByText("Layers").click();
  const layers = pull.layers.getByRole("listitem");
  await expect(layers).toHaveCount(wanted.layers.length);
  for (const { digest } of wanted.layers) {
    const layer = layers.filter({ hasText: digest.slice("sha256:".length, "sha256:".length + 12) });
    await expect(layer).toHaveCount(1);
    await expect(layer).toContainText(/[A-Z][a-z]+/);
  }
  await expect(layers.filter({ hasText: /[\d.,]+ [KMG]iB/ }).first()).toBeVisible();
  const before = await pull.share();
  await pull.past(before);
  await pull.done();
  await expect(card.article.locator(".image time"), "with the moment").toHaveAttribute("datetime", /^\d{4}-/);
  expect(await has(wanted)).toBe(true);
});

test("a pull is the same in a second tab and after a reload, and a second press joins it", async ({ page, browser, dashboard, registry }) => {
  const wanted = image();
  const dash = await dashboard({ image: registry.put(NAME, wanted) });
  registry.bytesPerSecond = 4 * MB;
  const pull = new Pull(await open(page, dash.url));
  // A tab without scripts keeps its button whatever happens elsewhere.
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const late = await plain.newPage();
  await late.goto(dash.url);

  await pull.begin();
  await pull.past(0);
  const second = await page.context().newPage();
  const other = new Pull(await open(second, dash.url));
  await expect(other.bar).toBeVisible();
  await expect(other.line).toBeVisible();
  expect(Math.abs((await other.share()) - (await pull.share()))).toBeLessThan(0.25);
  await page.reload();
  await expect(pull.bar).toBeVisible();
  await expect(pull.line).toBeVisible();

  const asked = registry.requests.length;
  await new Card(late).button("Pull image").click();
  await expect(new Pull(new Card(late)).bar).toBeVisible();
  expect(registry.requests.slice(asked).filter((line) => line.includes("/manifests/"))).toEqual([]);
  await plain.close();

  await pull.done();
  await other.done();
  for (const layer of wanted.layers) expect(registry.trafficOf(layer).requests, "each layer was asked for once").toBe(1);
});

test("a pull that is cancelled says so, ends at the registry, too, and can be begun again", async ({ page, dashboard, registry }) => {
  const wanted = image();
  const dash = await dashboard({ image: registry.put(NAME, wanted) });
  registry.bytesPerSecond = 4 * MB;
  const pull = new Pull(await open(page, dash.url));
  await pull.begin();
  await pull.past(0);
  await pull.card.button("Cancel pull").click();
  await pull.says("Cancelled");
  await expect(pull.bar).toBeHidden();
  await until("the engine to let go", 10_000, async () => registry.sending === 0);
  expect(await has(wanted)).toBe(false);

  registry.calm();
  await pull.begin();
  await pull.done();
  expect(await has(wanted)).toBe(true);
});

const failures: [string, string, (registry: Registry) => unknown][] = [
  ["a tag that does not exist", "There is no tag", () => undefined],
  ["a registry that denies it", "refused", (registry) => (registry.refuse = 403)],
  [
    "a registry that wants to know who asks",
    "refused",
    (registry) => Object.assign(registry, { credentials: { username: "reader", password: "secret" }, challenge: "bearer" }),
  ],
  ["a registry that has had enough", "limits", (registry) => (registry.refuse = 429)],
  ["a registry that has had enough in the middle", "limits", (registry) => (registry.refuseBlobs = 429)],
  ["a registry that is away", "cannot be reached", (registry) => registry.down()],
];
for (const [what, sentence, arrange] of failures) {
  test(`${what}: the card says it in a sentence, and the next pull is free to work`, async ({ page, dashboard, registry }) => {
    const missing = sentence === "There is no tag";
    const full = missing ? `${registry.host}/${NAME}` : registry.put(NAME, image());
    const dash = await dashboard({ image: full });
    const pull = new Pull(await open(page, dash.url));
    await arrange(registry);
    await pull.begin();
    await pull.says(sentence);
    await expect(pull.bar).toBeHidden();

    await registry.up();
    registry.calm();
    if (missing) registry.put(NAME, image());
    await pull.begin();
    await pull.done();
    await expect(pull.card.article).not.toContainText(sentence);
  });
}

/** The tests' engine behind another socket, where a pull is answered by a recording: its disk cannot be filled for one test. */
async function replay(recording: string) {
  const path = join(tmpdir(), `${unique("services-replay")}.sock`);
  const server = http.createServer((request, answer) => {
    if (request.method === "POST" && request.url?.includes("/images/create")) {
      readFile(`${root}/server/tests/fixtures/pull/${recording}.jsonl`).then(
        (body) => answer.writeHead(Number(recording.slice(0, 3)), { "content-type": "application/json" }).end(body),
        () => answer.destroy(),
      );
      return;
    }
    const { method, url, headers } = request;
    const onward = http.request({ socketPath: socket.replace("unix://", ""), method, path: url, headers }, (from) => {
      answer.writeHead(from.statusCode ?? 502, from.headers);
      from.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    host: `unix://${path}`,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await rm(path, { force: true });
    },
  };
}

for (const recording of ["200-disk-full-downloading", "200-disk-full-extracting"]) {
  test(`a disk that is full (${recording.split("-").at(-1)}) is named`, async ({ page, dashboard }) => {
    const engine = await replay(recording);
    try {
      const dash = await dashboard({ env: { DOCKER_HOST: engine.host } });
      const pull = new Pull(await open(page, dash.url));
      await pull.begin();
      await pull.says("No space");
      await expect(pull.bar).toBeHidden();
      await dash.down();
    } finally {
      await engine.close();
    }
  });
}

test("a connection that breaks in the middle is taken up again by the engine, and the pull ends well", async ({ page, dashboard, registry }) => {
  const wanted = image();
  const dash = await dashboard({ image: registry.put(NAME, wanted) });
  registry.bytesPerSecond = 10 * MB;
  const pull = new Pull(await open(page, dash.url));
  await pull.begin();
  await pull.past(0.1);
  registry.cut();
  await pull.done(40_000);
  expect(await has(wanted)).toBe(true);
  expect(registry.trafficOf(wanted.layers.at(-1)!).requests).toBeGreaterThan(1);
});

test("a dashboard that is killed in the middle says afterwards that the pull was interrupted, and pulls again", async ({ page, dashboard, registry }) => {
  const wanted = image();
  const dash = await dashboard({ image: registry.put(NAME, wanted) });
  registry.bytesPerSecond = 4 * MB;
  const pull = new Pull(await open(page, dash.url));
  await pull.begin();
  await pull.past(0);
  await dash.down("SIGKILL");
  await until("the engine to let go", 10_000, async () => registry.sending === 0);
  await dash.up();
  await pull.says("interrupted", 40_000);
  await expect(pull.bar).toBeHidden();

  registry.calm();
  await pull.begin();
  await pull.done();
  expect(await has(wanted)).toBe(true);
});

test.describe("with the engine", () => {
  test.afterEach(plainEngine);

  for (const how of ["shutdown", "power-cut"] as const) {
    test(`a ${how} in the middle of a pull: interrupted is what it was, and Pull image works`, async ({ page, dashboard, registry }) => {
      test.slow();
      const wanted = image();
      const dash = await dashboard({ image: registry.put(NAME, wanted) });
      registry.bytesPerSecond = 4 * MB;
      const pull = new Pull(await open(page, dash.url));
      await pull.begin();
      await pull.past(0);
      await reboot(dash, { how });
      await pull.says("interrupted", 40_000);

      registry.calm();
      await pull.begin();
      await pull.done();
      expect(await has(wanted)).toBe(true);
    });
  }

  test("an engine that dies in the middle of a pull under a living dashboard: the pull was interrupted, and works again", async ({ page, dashboard, registry }) => {
    test.slow();
    const wanted = image();
    const dash = await dashboard({ image: registry.put(NAME, wanted) });
    registry.bytesPerSecond = 4 * MB;
    const pull = new Pull(await open(page, dash.url));
    await pull.begin();
    await pull.past(0);
    await engineDown("power-cut");
    await pull.card.shows("Unreachable");
    await expect(pull.bar).toBeHidden();
    await engineUp();
    await pull.card.shows("Stopped", 40_000);
    await pull.says("interrupted");

    registry.calm();
    await pull.begin();
    await pull.done();
    expect(await has(wanted)).toBe(true);
  });
});

test("a newer image is found by asking, pulled beside the running one, taken by a restart, and taken back", async ({ page, dashboard, registry }) => {
  test.slow();
  const [older, newer] = [image("older"), image("newer")];
  const dash = await dashboard({ image: registry.put(NAME, older) });
  const card = await open(page, dash.url);
  const pull = new Pull(card);
  await pull.begin();
  await pull.done();
  await dash.running();
  await card.shows("Running");
  expect(await imageOf(dash.container)).toBe(older.id);

  await card.button("Check for a newer image").click();
  await expect(card.button("Check for a newer image")).toBeEnabled();
  await expect(card.article).not.toContainText("A newer image exists");
  registry.put(NAME, newer);
  const sent = registry.sent;
  await card.button("Check for a newer image").click();
  await pull.says("A newer image exists");
  expect(registry.sent, "asking pulls nothing").toBe(sent);

  await pull.begin();
  await pull.done();
  await pull.says("runs an older image");
  await expect(card.article).not.toContainText("A newer image exists");
  expect(await imageOf(dash.container), "a pull alone changes nothing that runs").toBe(older.id);
  await card.shows("Running");

  await card.button("Restart on the new image").click();
  await expect(card.button("Back to the image before")).toBeVisible({ timeout: 40_000 });
  await expect(card.button("Remove the image before")).toBeVisible();
  await card.shows("Running");
  await expect(card.article).not.toContainText("runs an older image");
  expect(await imageOf(dash.container)).toBe(newer.id);
  expect(await has(older), "kept for the way back").toBe(true);

  await card.button("Back to the image before").click();
  await until("the older image to run again", 40_000, async () => (await imageOf(dash.container)) === older.id);
  await card.shows("Running");
});

test("the image before is removed by its button, and by nothing else", async ({ page, dashboard, registry }) => {
  test.slow();
  const [older, newer] = [image("older"), image("newer")];
  const dash = await dashboard({ image: registry.put(NAME, older) });
  const card = await open(page, dash.url);
  const pull = new Pull(card);
  await pull.begin();
  await pull.done();
  await dash.running();
  registry.put(NAME, newer);
  await pull.begin();
  await pull.says("runs an older image", 30_000);
  await card.button("Restart on the new image").click();
  await expect(card.button("Remove the image before")).toBeVisible({ timeout: 40_000 });
  expect(await has(older)).toBe(true);
  await card.button("Remove the image before").click();
  await until("the image to be gone", 20_000, async () => !(await has(older)));
  await expect(card.button("Back to the image before")).toBeHidden();
  await card.shows("Running");
  expect(await imageOf(dash.container)).toBe(newer.id);
});

test("programs begin, watch and cancel a pull by JSON", async ({ dashboard, registry }) => {
  const dash = await dashboard({ image: registry.put(NAME, image()) });
  registry.bytesPerSecond = 4 * MB;
  const images = async () => JSON.parse((await dash.ask("/api/images")).body) as { pull: unknown }[];
  expect((await dash.ask("/api/services/vllm/pull")).status, "reading begins nothing").not.toBe(202);
  expect(registry.requests).toEqual([]);
  expect((await dash.ask("/api/services/vllm/pull", { method: "POST" })).status).toBe(202);
  await until("the pull among the images", 15_000, async () => registry.sending > 0 && (await images()).some(({ pull }) => Boolean(pull)));
  expect((await dash.ask("/api/services/vllm/pull/cancel", { method: "POST" })).status).toBeLessThan(300);
  await until("the engine to let go", 10_000, async () => registry.sending === 0);
  expect((await dash.ask("/api/services/nobody/pull", { method: "POST" })).status).toBe(404);
});
