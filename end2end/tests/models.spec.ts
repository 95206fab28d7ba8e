// The table of models: what is published, what is computed for this GPU, what lies on the disk; Use and the deletion.
import { mkdir, mkdtemp, readdir, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { inspect } from "../harness/docker.ts";
import { Card, expect, open, test as base } from "./fixtures.ts";

const GIB = 2 ** 30;

interface Gpu {
  env: Record<string, string>;
}

/** One NVIDIA L4 of 24 GiB, by the stand-in for the driver's library. */
const test = base.extend<{ gpu: Gpu }>({
  gpu: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "services-models-gpu-"));
    const file = join(folder, "machine.json");
    const device = { name: "NVIDIA L4", uuid: "GPU-5c8b", pci: "0000:01:00.0", memory: { total_mib: 24 * 1024, base_mib: 512 }, compute: [] };
    await writeFile(file, JSON.stringify({ driver_version: "580.65.06", devices: [device] }));
    await use({ env: { SERVICES_NVML_LIBRARY: process.env["SERVICES_TEST_NVML"] ?? "", NVML_SIM_FILE: file } });
    await rm(folder, { recursive: true, force: true });
  },
});

const LORA = "Qwen2.5-7B + LoRA";
const LLAMA = "Llama-3.1-8B GPTQ";
const DEEPSEEK = "DeepSeek-7B";

/** What the product promises of its three, and where their licences are. */
const published = [
  { title: LORA, model: "Qwen/Qwen2.5-7B-Instruct-AWQ", size: /^7(\.\d)?B$/, vram: /~6(\.0)? GB/, speed: "Fast", licence: "apache-2.0" },
  { title: LLAMA, model: "hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4", size: /^8(\.\d)?B$/, vram: /~8(\.0)? GB/, speed: "Fast", licence: "llama3.1" },
  { title: DEEPSEEK, model: "RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16", size: /^7(\.\d)?B$/, vram: /~7(\.0)? GB/, speed: "Medium", licence: "mit" },
];

const table = (page: Page) => page.getByRole("table", { name: "Supported models", exact: true });
const section = (page: Page) => page.getByRole("region", { name: "Supported models", exact: true }).first();
const row = (page: Page, title: string) => table(page).getByRole("row").filter({ has: page.getByRole("rowheader").filter({ hasText: title }) });
/** A cell by the head of its column. */
async function cell(page: Page, title: string, column: string): Promise<Locator> {
  const heads = await table(page).locator("thead th").allInnerTexts();
  const at = heads.findIndex((head) => head.trim() === column);
  expect(at, `a column ${column}`).toBeGreaterThanOrEqual(0);
  return row(page, title).locator("th, td").nth(at);
}
const settings = (page: Page) => page.getByRole("form", { name: "Configuration" });
const group = (page: Page, text: RegExp) => page.getByRole("group").filter({ hasText: text });

const exists = (path: string) => stat(path).then(() => true, () => false);

/** A model as the Hugging Face client leaves it: blobs, links to them, a ref. The weights are a sparse file. */
async function cached(dash: Dashboard, id: string, bytes: number): Promise<string> {
  const folder = join(dash.folder, ".cache/huggingface/hub", `models--${id.replace("/", "--")}`);
  const commit = "b25037543e9394b818fdfca67ab2a00ecc7dd641";
  const config = { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 1000, max_position_embeddings: 2048, torch_dtype: "bfloat16" };
  const put = async (blob: string, name: string, content: Buffer | string, size?: number) => {
    const [path, link] = [join(folder, "blobs", blob), join(folder, "snapshots", commit, name)];
    for (const one of [path, link]) await mkdir(dirname(one), { recursive: true });
    await writeFile(path, content);
    if (size !== undefined) await truncate(path, size);
    await symlink(join("../../blobs", blob), link);
  };
  const header = Buffer.from(JSON.stringify({ "model.embed_tokens.weight": { dtype: "BF16", shape: [bytes / 2], data_offsets: [0, bytes] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await put("8b1e".repeat(10), "config.json", JSON.stringify(config));
  await put("5f3c".repeat(16), "model.safetensors", Buffer.concat([length, header]), 8 + header.length + bytes);
  await mkdir(join(folder, "refs"), { recursive: true });
  await writeFile(join(folder, "refs/main"), commit);
  return folder;
}

/** Everything below a folder, by name. */
async function everything(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true });
  return found.filter((path) => !path.startsWith("state")).sort();
}

const post = (dash: Dashboard, path: string, fields: Record<string, string>) =>
  dash.ask(path, { method: "POST", body: new URLSearchParams(fields).toString(), headers: { "content-type": "application/x-www-form-urlencoded" } });

/** Saves another share, and waits until it is said to be saved. */
async function share(page: Page, value: string) {
  await settings(page).getByLabel("GPU_MEMORY_UTILIZATION", { exact: true }).fill(value);
  await settings(page).getByRole("button", { name: "Save", exact: true }).click();
  await expect(group(page, /Saved\./)).toBeVisible();
}

for (const path of ["/", "/services/vllm"])
  test(`${path} has the table with the three published models, each figure with what it is worth`, async ({ page, gpu, dashboard }) => {
    const dash = await dashboard({ image: INSTANT, env: gpu.env });
    await open(page, dash.url + path);
    for (const { title, model, size, vram, speed, licence } of published) {
      await expect(row(page, title)).toHaveCount(1);
      await expect(row(page, title)).toContainText(model);
      await expect.soft(await cell(page, title, "Size")).toHaveText(size);
      await expect.soft(await cell(page, title, "VRAM"), "as it was published").toContainText(vram);
      await expect.soft(await cell(page, title, "VRAM")).toContainText("published");
      await expect.soft(await cell(page, title, "VRAM")).toContainText(/\d+\.\d GiB\s*estimate/);
      await expect.soft(await cell(page, title, "Speed")).toContainText(`${speed}, published`);
      // What is computed needs the GPU, which is read once somebody looks.
      await expect.soft(await cell(page, title, "Speed")).toContainText(/\d+ to \d+ tokens\/s, estimate/);
      const link = row(page, title).getByRole("link", { name: licence, exact: true });
      await expect.soft(link).toHaveAttribute("href", /^https:\/\/huggingface\.co\//);
      await expect.soft(link).toHaveAttribute("rel", /noopener/);
    }
    await expect(section(page)).toContainText("NVIDIA L4");
  });

test("without a GPU nothing is claimed about what fits", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await open(page, dash.url);
  await expect(section(page)).toContainText("No GPU can be read here");
  for (const { title } of published) await expect(await cell(page, title, "Fits")).toHaveText("no GPU");
});

test("on 24 GiB what fits follows the share that is set, without a reload", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: gpu.env });
  await open(page, dash.url);
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));
  // The default share of 0.5: about 11.8 GiB.
  for (const { title } of published) await expect(await cell(page, title, "Fits")).toHaveText("Fits");
  await expect(await cell(page, "gpt-oss-20b", "Fits")).toHaveText(/^Does not fit: \d+\.\d GiB missing; a share of 0\.\d\d would do$/);

  await share(page, "0.9");
  await expect(section(page)).toContainText("a share of 0.9");
  await expect(await cell(page, "gpt-oss-20b", "Fits")).toHaveText("Fits");

  await share(page, "0.2");
  await expect(section(page)).toContainText("a share of 0.2");
  for (const { title } of published) await expect(await cell(page, title, "Fits")).toHaveText(/^Does not fit: \d+\.\d GiB missing; a share of 0\.\d\d would do$/);
  expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
});

const RECIPE = "--max-model-len 8192 --max-num-seqs 16 --enable-lora --max-loras 1 --max-lora-rank 16";

test("Use fills the form and shows the difference; only Save writes it, and the next Start runs with it", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { ...gpu.env, VLLM_MODEL: "" }, toml: '# mine\n[[service]]\nname = "vllm"\n' });
  const card = await open(page, dash.url);
  await expect(await cell(page, LORA, "Fits")).toHaveText("Fits");
  const before = await dash.toml();
  await table(page).getByRole("button", { name: `Use ${LORA}`, exact: true }).click();
  await expect(group(page, /Filled in, not saved yet/)).toBeVisible();
  await expect(settings(page).getByLabel("VLLM_MODEL", { exact: true })).toHaveValue("Qwen/Qwen2.5-7B-Instruct-AWQ");
  await expect(settings(page).getByLabel("--max-model-len", { exact: true })).toHaveValue("8192");
  const changes = settings(page).locator("table.changes");
  await expect(changes.getByRole("row").filter({ hasText: "VLLM_MODEL" })).toContainText("Qwen/Qwen2.5-7B-Instruct-AWQ");
  await expect(changes.getByRole("row").filter({ hasText: "--max-model-len" })).toContainText("8192");
  await expect(changes.getByRole("row").filter({ hasText: "args" })).toContainText("--enable-lora");
  expect(await dash.toml(), "nothing is saved yet").toBe(before);

  await settings(page).getByRole("button", { name: "Save", exact: true }).click();
  await expect(group(page, /Saved\./)).toBeVisible();
  const after = await dash.toml();
  expect(after).toContain("# mine");
  expect(after).toContain('model = "Qwen/Qwen2.5-7B-Instruct-AWQ"');
  await expect(row(page, LORA)).toContainText("in use");
  await expect(table(page).getByRole("button", { name: `Use ${LORA}`, exact: true })).toHaveCount(0);

  await card.button("Start").click();
  await card.shows("Running", 45_000);
  const command = (await inspect(dash.container))?.Config.Cmd?.join(" ");
  expect(command).toContain("--model Qwen/Qwen2.5-7B-Instruct-AWQ");
  expect(command).toContain("--served-model-name lydia");
  for (const argument of RECIPE.split(/ (?=--)/)) expect(command).toContain(argument);
});

test("Use of a model that needs a larger share sets that, too", async ({ page, gpu, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { ...gpu.env, VLLM_MODEL: "" } });
  await open(page, dash.url);
  const fits = await cell(page, "gpt-oss-20b", "Fits");
  await expect(fits).toHaveText(/a share of 0\.\d\d would do/);
  const wanted = /0\.\d\d/.exec(await fits.innerText())?.[0] ?? "";
  await table(page).getByRole("button", { name: "Use gpt-oss-20b", exact: true }).click();
  await expect(settings(page).getByLabel("VLLM_MODEL", { exact: true })).toHaveValue("openai/gpt-oss-20b");
  await expect(settings(page).getByLabel("GPU_MEMORY_UTILIZATION", { exact: true })).toHaveValue(wanted);
});

const TINY = "e2e-lab/tiny-qwen2";

test("a model of the cache is listed with its size, and deleted after a question", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const folder = await cached(dash, TINY, 1.5 * GIB);
  const other = await cached(dash, "e2e-lab/other", 2 * GIB);
  await open(page, dash.url);
  await expect(await cell(page, TINY, "Disk")).toContainText("1.5 GiB");
  await expect(await cell(page, TINY, "Disk")).not.toContainText("incomplete");
  await expect(await cell(page, LORA, "Disk")).toHaveText("");

  const remove = table(page).getByRole("button", { name: `Remove ${TINY}`, exact: true });
  const question = group(page, new RegExp(`Remove ${TINY}\\?`));
  await remove.click();
  await expect(question).toContainText("1.5 GiB");
  await question.getByRole("button", { name: "Cancel", exact: true }).click();
  await expect(question).toHaveCount(0);
  expect(await exists(folder)).toBe(true);

  await remove.click();
  await question.getByRole("button", { name: "Remove", exact: true }).click();
  await expect(section(page)).toContainText("Removed: 1.5 GiB are free again.");
  await expect(row(page, TINY)).toHaveCount(0);
  await expect(await cell(page, "e2e-lab/other", "Disk")).toContainText("2.0 GiB");
  expect(await exists(folder)).toBe(false);
  expect(await exists(other)).toBe(true);
  expect((await readdir(dirname(folder))).filter((name) => name.startsWith(".removing"))).toEqual([]);
});

test("the cache that HF_HOME names is listed, too, and a broken download is called incomplete", async ({ page, dashboard }) => {
  const home = await mkdtemp(join(tmpdir(), "services-hf-"));
  try {
    const dash = await dashboard({ image: INSTANT, env: { HF_HOME: home } });
    const folder = await cached(dash, TINY, GIB);
    const there = join(home, "hub/models--e2e-lab--elsewhere");
    await mkdir(join(there, "blobs"), { recursive: true });
    await writeFile(join(there, "blobs/5f3c.incomplete"), "");
    await truncate(join(there, "blobs/5f3c.incomplete"), 0.5 * GIB);
    await open(page, dash.url);
    await expect(await cell(page, "e2e-lab/elsewhere", "Disk")).toContainText("0.5 GiB, incomplete");
    expect(await exists(folder)).toBe(true);
    await table(page).getByRole("button", { name: "Remove e2e-lab/elsewhere", exact: true }).click();
    await group(page, /Remove e2e-lab\/elsewhere\?/).getByRole("button", { name: "Remove", exact: true }).click();
    await expect(section(page)).toContainText("Removed: 0.5 GiB are free again.");
    expect(await exists(there)).toBe(false);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

test("a model that a service is set to cannot be deleted", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { VLLM_MODEL: TINY } });
  const folder = await cached(dash, TINY, GIB);
  await open(page, dash.url);
  await expect(await cell(page, TINY, "Disk")).toContainText("1.0 GiB");
  await expect(row(page, TINY)).toContainText("in use");
  await expect(table(page).getByRole("button", { name: `Remove ${TINY}`, exact: true })).toHaveCount(0);
  // Hugging Face does not tell capitals apart.
  for (const id of [TINY, TINY.toUpperCase()]) {
    const answer = await post(dash, "/parts/cache/delete", { id, service: "vllm", confirmed: "1" });
    expect(answer.body, "nothing is claimed to be gone").not.toContain("are free again");
    if (id === TINY) {
      expect(answer.body).toContain("in use");
      expect.soft(answer.body, "nothing was pulled").not.toContain("The pull failed");
    }
  }
  expect(await exists(folder)).toBe(true);
});

test("a hostile id deletes nothing", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const folder = await cached(dash, TINY, GIB);
  // What such ids would lead to, from the cache, from above it, and by the names of folders.
  for (const path of ["x", "../x", "../../x", "../../../x", "models--x", "datasets--e2e-lab--set"]) await mkdir(join(dirname(folder), path, "content"), { recursive: true });
  const before = await everything(dash.folder);
  const climbing = ["../../x", "../x", "..", ".", "", "/", "x/../../x", "e2e-lab/../../../x", "e2e-lab/tiny-qwen2/../../x", "..%2f..%2fx", "..\\..\\x"];
  const absolute = [folder, join(dash.folder, "x"), "models--e2e-lab--tiny-qwen2", "datasets--e2e-lab--set", "e2e-lab--tiny-qwen2", "e2e-lab/*", "*", "e2e-lab", "x\0y", "-rf", "a".repeat(5_000)];
  for (const id of [...climbing, ...absolute]) {
    const answer = await post(dash, "/parts/cache/delete", { id, service: "vllm", confirmed: "1" });
    expect(answer.status, id).toBeLessThan(500);
    expect(answer.body, id).not.toContain("are free again");
  }
  expect(await everything(dash.folder)).toEqual(before);

  const foreign = await dash.ask("/parts/cache/delete", {
    method: "POST",
    body: new URLSearchParams({ id: TINY, service: "vllm", confirmed: "1" }).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", origin: "http://evil.example" },
  });
  expect(foreign.status).toBe(403);
  expect(await exists(folder)).toBe(true);
  // The same request with nothing hostile about it.
  await post(dash, "/parts/cache/delete", { id: TINY, service: "vllm", confirmed: "1" });
  expect(await exists(folder)).toBe(false);
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("Use and Save work", async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT, env: { VLLM_MODEL: "" } });
    await page.goto(dash.url);
    await table(page).getByRole("button", { name: `Use ${DEEPSEEK}`, exact: true }).click();
    await expect(group(page, /Filled in, not saved yet/)).toBeVisible();
    await expect(settings(page).getByLabel("VLLM_MODEL", { exact: true })).toHaveValue("RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16");
    await expect(settings(page).locator("table.changes")).toContainText("--max-model-len");
    expect(await exists(join(dash.folder, "state/services.toml")), "nothing is saved yet").toBe(false);
    await settings(page).getByRole("button", { name: "Save", exact: true }).click();
    await expect(group(page, /Saved\./)).toBeVisible();
    expect(await dash.toml()).toContain("DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16");
    await page.goto(dash.url);
    await new Card(page).button("Start").click();
    await dash.state("running");
    const command = (await inspect(dash.container))?.Config.Cmd?.join(" ");
    expect(command).toContain("--max-model-len 16384");
    expect(command).toContain("--max-num-seqs 16");
  });

  test("a deletion asks and is done", async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    const folder = await cached(dash, TINY, 1.5 * GIB);
    await page.goto(dash.url);
    await table(page).getByRole("button", { name: `Remove ${TINY}`, exact: true }).click();
    const question = group(page, new RegExp(`Remove ${TINY}\\?`));
    await expect(question).toContainText("1.5 GiB");
    expect(await exists(folder)).toBe(true);
    await question.getByRole("button", { name: "Remove", exact: true }).click();
    await expect(section(page)).toContainText("Removed: 1.5 GiB are free again.");
    expect(await exists(folder)).toBe(false);
  });
});
