// The table of images: who uses what, what may go, and that only that goes.
import { mkdtemp, open as openFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import type { Dashboard } from "../harness/dashboard.ts";
import { docker, engine, socket, unique } from "../harness/docker.ts";
import { expect, open, test as base } from "./fixtures.ts";

const MiB = 1 << 20;

/** Images of one test, gone after it. All other tests' images are of another repository. */
class Shelf {
  /** The repository of the service's own image. */
  readonly ours = `${unique("e2e")}/vllm-openai`;
  /** Somebody else's. */
  readonly others = `${unique("others")}/thing`;
  readonly #ids = new Set<string>();
  readonly #containers: string[] = [];

  #keep(id: string) {
    this.#ids.add(id);
    return id;
  }

  /** The simulated vLLM as an image of its own; without a name where none is given. */
  async vllm(...name: string[]): Promise<string> {
    const container = await docker("create", "vllm/vllm-openai:latest");
    const id = await docker("commit", "--change", `LABEL services.test.shelf=${unique("image")}`, "--change", "ENV SIM_SPEED=0", container, ...name);
    await docker("rm", container);
    return this.#keep(id);
  }

  /** An image of so many bytes. */
  async heavy(bytes: number, ...name: string[]): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "services-image-"));
    try {
      const path = join(folder, "content.tar");
      const header = Buffer.alloc(512);
      header.write(unique("content"), 0, "latin1");
      const octal = (value: number, at: number, width: number) => header.write(value.toString(8).padStart(width - 1, "0"), at, "latin1");
      for (const [value, at, width] of [[0o644, 100, 8], [0, 108, 8], [0, 116, 8], [bytes, 124, 12], [0, 136, 12]] as const) octal(value, at, width);
      header.write(" ".repeat(8) + "0", 148, "latin1");
      header.write("ustar\x0000", 257, "latin1");
      octal(header.reduce((sum, byte) => sum + byte, 0), 148, 7);
      const file = await openFile(path, "w");
      await file.write(header);
      await file.truncate(512 + Math.ceil(bytes / 512) * 512 + 1024);
      await file.close();
      return this.#keep(await docker("import", path, ...name));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async container(image: string): Promise<string> {
    const name = unique("user");
    await docker("create", "--name", name, image, "/nothing");
    this.#containers.push(name);
    return name;
  }

  async clear() {
    for (const name of this.#containers) await docker("rm", "-f", name).catch(() => "");
    for (const id of this.#ids) await docker("rmi", "-f", id).catch(() => "");
  }
}

// Automatic, so that it ends after the dashboards: an image with a container cannot be removed.
const test = base.extend<{ shelf: Shelf }>({
  shelf: [
    async ({}, use) => {
      const shelf = new Shelf();
      // What earlier tests left without a name would be counted here.
      if (socket !== "") await docker("image", "prune", "--force");
      await use(shelf);
      if (socket !== "") await shelf.clear();
    },
    { auto: true },
  ],
});

const here = (image: string) => docker("image", "inspect", "-f", "{{.Id}}", image).then(() => true, () => false);
const section = (page: Page) => page.locator("section.images");
const table = (page: Page) => page.getByRole("table", { name: "Images", exact: true });
const row = (page: Page, name: string) => table(page).getByRole("row").filter({ has: page.getByRole("rowheader").filter({ hasText: name }) });
const remove = (page: Page, name: string) => row(page, name).getByRole("button", { name: /^Remove / });
const question = (page: Page) => section(page).getByRole("group").filter({ hasText: /Remove .*\?/ });

const post = (dash: Dashboard, path: string, fields: Record<string, string> | string) =>
  dash.ask(path, { method: "POST", body: new URLSearchParams(fields).toString(), headers: { "content-type": "application/x-www-form-urlencoded" }, timeout: 30_000 });

test("the table says of each image its names, size, when it was built and who uses it", async ({ page, dashboard, shelf }) => {
  const id = await shelf.heavy(150 * MiB, `${shelf.others}:1`);
  await docker("tag", id, `${shelf.others}:stable`);
  await shelf.vllm(`${shelf.ours}:one`);
  const nameless = await shelf.vllm();
  const user = await shelf.container(`${shelf.others}:1`);
  const dash = await dashboard({ image: `${shelf.ours}:one` });
  await open(page, dash.url);
  await expect(table(page).getByRole("columnheader")).toHaveText([/^Image$/, /^Size$/, /^Built$/, /^In use by$/, /^$/]);

  const theirs = row(page, `${shelf.others}:1`);
  await expect(theirs).toHaveCount(1);
  await expect(theirs.getByRole("rowheader")).toContainText(`${shelf.others}:stable`);
  await expect(theirs.getByRole("cell").nth(0)).toHaveText("0.1 GiB");
  await expect(theirs.getByRole("cell").nth(1)).toContainText(String(new Date().getUTCFullYear()));
  await expect(theirs.getByRole("cell").nth(2)).toHaveText(user);
  await expect(row(page, `${shelf.ours}:one`).getByRole("cell").nth(2)).toContainText("vLLM");
  const plain = row(page, nameless.slice("sha256:".length, "sha256:".length + 12));
  await expect(plain).toContainText("no name");
  await expect(plain.getByRole("cell").nth(2)).toHaveText("nobody");
});

test("what a container or a service uses has no Remove, and a request that wants it all the same is refused", async ({ page, dashboard, shelf }) => {
  const held = await shelf.heavy(MiB, `${shelf.others}:1`);
  const user = await shelf.container(`${shelf.others}:1`);
  const own = await shelf.vllm(`${shelf.ours}:one`);
  const dash = await dashboard({ image: `${shelf.ours}:one` });
  await open(page, dash.url);
  for (const name of [`${shelf.others}:1`, `${shelf.ours}:one`]) {
    await expect(row(page, name)).toHaveCount(1);
    await expect(remove(page, name)).toHaveCount(0);
  }
  for (const id of [held, own])
    for (const fields of ["", "&confirmed=1"]) {
      const answer = await post(dash, "/parts/images/remove", `id=${id}${fields}`);
      expect(answer.body).toContain("Not removed");
      expect(answer.body).not.toContain("are free again");
      expect(await here(id)).toBe(true);
    }
  // Nor by another name of it, nor by a path.
  for (const id of [`${shelf.others}:1`, held.slice("sha256:".length), `../containers/${user}`, "../../version", ""])
    expect((await post(dash, "/parts/images/remove", { id, confirmed: "1" })).body, id).not.toContain("are free again");
  expect([await here(held), await here(own)]).toEqual([true, true]);
  expect(await docker("inspect", "-f", "{{.Name}}", user)).toBe(`/${user}`);
});

test("an image that nothing uses is asked for first, then removed, and the freed bytes are said", async ({ page, dashboard, shelf }) => {
  test.setTimeout(120_000);
  await shelf.vllm(`${shelf.ours}:one`);
  const id = await shelf.heavy(600 * MiB, `${shelf.others}:1`);
  const dash = await dashboard({ image: `${shelf.ours}:one` });
  await open(page, dash.url);
  await remove(page, `${shelf.others}:1`).click();
  await expect(question(page)).toContainText(`Remove ${shelf.others}:1?`);
  await expect(question(page)).toContainText("0.6 GiB");
  await question(page).getByRole("button", { name: "Cancel", exact: true }).click();
  await expect(question(page)).toHaveCount(0);
  expect(await here(id)).toBe(true);

  await remove(page, `${shelf.others}:1`).click();
  await question(page).getByRole("button", { name: "Remove", exact: true }).click();
  await expect(section(page)).toContainText(/Removed: 0\.[567] GiB are free again\./);
  await expect(row(page, `${shelf.others}:1`)).toHaveCount(0);
  expect(await here(id)).toBe(false);
});

test("Remove unused images names what goes, and takes only what nothing uses: never somebody else's", async ({ page, dashboard, shelf }) => {
  const own = await shelf.vllm(`${shelf.ours}:one`);
  const older = await shelf.vllm(`${shelf.ours}:older`);
  const oldest = await shelf.vllm(`${shelf.ours}:oldest`);
  const nameless = await shelf.vllm();
  const used = await shelf.vllm(`${shelf.ours}:used`);
  await shelf.container(`${shelf.ours}:used`);
  const theirs = await shelf.heavy(MiB, `${shelf.others}:1`);
  // One of ours that somebody else has named, too.
  const shared = await shelf.vllm(`${shelf.ours}:shared`);
  await docker("tag", shared, `${shelf.others}:shared`);
  const all = { own, older, oldest, nameless, used, theirs, shared };
  const left = async () => {
    const found: string[] = [];
    for (const [name, id] of Object.entries(all)) if (await here(id)) found.push(name);
    return found;
  };

  const dash = await dashboard({ image: `${shelf.ours}:one` });
  await open(page, dash.url);
  const prune = section(page).getByRole("button", { name: /^Remove 3 unused images \(up to \d+\.\d GiB\)$/ });
  await prune.click();
  for (const name of [`${shelf.ours}:older`, `${shelf.ours}:oldest`, nameless.slice("sha256:".length, "sha256:".length + 12)]) await expect(question(page)).toContainText(name);
  for (const name of [`${shelf.ours}:one`, `${shelf.ours}:used`, `${shelf.ours}:shared`, shelf.others]) await expect(question(page)).not.toContainText(name);
  await question(page).getByRole("button", { name: "Cancel", exact: true }).click();
  await expect(question(page)).toHaveCount(0);
  expect(await left()).toEqual(Object.keys(all));

  await prune.click();
  await question(page).getByRole("button", { name: "Remove", exact: true }).click();
  await expect(section(page)).toContainText("are free again");
  expect(await left()).toEqual(["own", "used", "theirs", "shared"]);
  expect(await here(`${shelf.others}:shared`)).toBe(true);
  await expect(section(page).getByRole("button", { name: /unused image/ })).toHaveCount(0);
  // Each of the others can still be taken by itself.
  await expect(remove(page, `${shelf.others}:1`)).toHaveCount(1);
});

test("what becomes used between the question and the answer stays", async ({ page, dashboard, shelf }) => {
  await shelf.vllm(`${shelf.ours}:one`);
  const id = await shelf.vllm(`${shelf.ours}:older`);
  const dash = await dashboard({ image: `${shelf.ours}:one` });
  await open(page, dash.url);
  await remove(page, `${shelf.ours}:older`).click();
  await expect(question(page)).toBeVisible();
  await shelf.container(`${shelf.ours}:older`);
  await post(dash, "/parts/images/prune", { confirmed: "1" });
  await post(dash, "/parts/images/remove", { id, confirmed: "1" });
  expect(await here(id)).toBe(true);
});

test("the table follows the engine: what happens to images in a terminal is seen without a reload", async ({ page, dashboard, shelf }) => {
  await shelf.vllm(`${shelf.ours}:one`);
  const id = await shelf.heavy(MiB, `${shelf.others}:1`);
  const dash = await dashboard({ image: `${shelf.ours}:one` });
  await open(page, dash.url);
  await expect(row(page, `${shelf.others}:1`)).toHaveCount(1);
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));
  await docker("tag", id, `${shelf.others}:tagged`);
  await expect(row(page, `${shelf.others}:tagged`)).toHaveCount(1);
  const user = await shelf.container(`${shelf.others}:1`);
  await expect(row(page, `${shelf.others}:1`)).toContainText(user);
  await expect(remove(page, `${shelf.others}:1`)).toHaveCount(0);
  await docker("rm", user);
  await expect(remove(page, `${shelf.others}:1`)).toHaveCount(1);
  await docker("rmi", `${shelf.others}:tagged`);
  await expect(row(page, `${shelf.others}:tagged`)).toHaveCount(0);
  expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
});

test.describe("with the engine away", () => {
  // Other tests need the engine as it was.
  test.afterEach(async () => {
    await engine(["kill-daemon", "TERM"]).catch(() => "");
    await engine(["start-daemon"]);
  });

  test("a page that is opened says so in the section, and finds the images when it is back", async ({ page, dashboard, shelf }) => {
    const image = `${shelf.ours}:one`;
    await shelf.vllm(image);
    await engine(["kill-daemon", "TERM"]);
    const dash = await dashboard({ image });
    const card = await open(page, dash.url);
    await card.shows("Unreachable");
    await expect(section(page)).toContainText("The Docker engine cannot be asked now.");
    await expect(table(page)).toHaveCount(0);
    const answer = await post(dash, "/parts/images/prune", { confirmed: "1" });
    expect(answer.status).toBeLessThan(500);
    expect(answer.body).not.toContain("are free again");
    await engine(["start-daemon"]);
    await card.shows("Stopped", 40_000);
    await expect(row(page, image)).toHaveCount(1, { timeout: 20_000 });
  });

  test("a page that was open says so in the section, and lives", async ({ page, dashboard, shelf }) => {
    const image = `${shelf.ours}:one`;
    await shelf.vllm(image);
    const dash = await dashboard({ image });
    const card = await open(page, dash.url);
    await expect(row(page, image)).toHaveCount(1);
    await engine(["kill-daemon", "TERM"]);
    await card.shows("Unreachable", 15_000);
    await expect(section(page)).toContainText("The Docker engine cannot be asked now.");
    expect((await dash.ask("/healthz")).status).toBe(200);
    await engine(["start-daemon"]);
    await card.shows("Stopped", 40_000);
    await expect(row(page, image)).toHaveCount(1, { timeout: 20_000 });
  });
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("an image is asked for and removed", async ({ page, dashboard, shelf }) => {
    await shelf.vllm(`${shelf.ours}:one`);
    const id = await shelf.heavy(MiB, `${shelf.others}:1`);
    const dash = await dashboard({ image: `${shelf.ours}:one` });
    await page.goto(dash.url);
    await remove(page, `${shelf.others}:1`).click();
    await expect(question(page)).toContainText(`Remove ${shelf.others}:1?`);
    expect(await here(id)).toBe(true);
    await question(page).getByRole("button", { name: "Remove", exact: true }).click();
    await expect(section(page)).toContainText("are free again");
    expect(await here(id)).toBe(false);
  });
});
