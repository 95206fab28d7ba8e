// The form Configuration: what it says while one types, what Save writes, and when that takes effect.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { findings } from "../harness/axe.ts";
import { INSTANT } from "../harness/dashboard.ts";
import { docker, inspect } from "../harness/docker.ts";
import { until } from "../harness/net.ts";
import { fieldsOf, filed, MODEL, send } from "../harness/settings.ts";
import { Card, expect, open, test } from "./fixtures.ts";

class Form {
  readonly form: Locator;
  readonly checked: Locator;
  readonly command: Locator;

  constructor(readonly card: Card) {
    this.form = card.page.getByRole("form", { name: "Configuration" });
    this.checked = this.form.locator("[data-checked]");
    this.command = this.form.getByRole("group", { name: "The exact command" });
  }

  field(name: string) {
    return this.form.getByLabel(name, { exact: true });
  }

  /** A field with what is said about it. */
  about(name: string) {
    return this.form.locator(".field").filter({ has: this.card.page.getByLabel(name, { exact: true }) });
  }

  async more() {
    const details = this.form.locator("details");
    if ((await details.getAttribute("open")) === null) await details.locator("summary").click();
    await expect(this.field("VLLM_IMAGE")).toBeVisible();
  }

  async save() {
    await this.form.getByRole("button", { name: "Save", exact: true }).click();
  }

  async says(text: string | RegExp) {
    await expect(this.card.page.locator(".settings .news")).toContainText(text);
  }

  async paste(command: string) {
    const details = this.card.page.locator(".settings details").filter({ has: this.card.page.locator("form.paste") });
    if ((await details.getAttribute("open")) === null) await details.locator("summary").click();
    await details.getByRole("textbox").fill(command);
    await details.getByRole("button", { name: "Fill in", exact: true }).click();
  }

  async history() {
    const details = this.card.page.locator(".settings details").filter({ has: this.card.page.locator(".history") });
    if ((await details.getAttribute("open")) === null) await details.locator("summary").click();
    return details.getByRole("list").first().locator(":scope > li");
  }
}

const shown = async (page: Page, url: string) => {
  const card = await open(page, url);
  return { card, form: new Form(card) };
};

const pending = (card: Card) => card.article.getByRole("table", { name: "Saved settings apply at the next start" });

test("fields are named as the variables are, and say their defaults", async ({ page, dashboard }) => {
  const { dash, port } = await filed(dashboard);
  await send(dash, { GPU_MEMORY_UTILIZATION: "0.4" });
  const { form } = await shown(page, dash.url);
  await form.more();
  const values: [name: string, value: string, says: string][] = [
    ["VLLM_API_URL", `http://127.0.0.1:${port}`, "Default: http://localhost:11434."],
    ["VLLM_MODEL_NAME", "lydia", ""],
    ["CUDA_VISIBLE_DEVICES", "0", ""],
    ["GPU_MEMORY_UTILIZATION", "0.4", "Default: 0.5."],
    ["VLLM_MODEL", MODEL, ""],
    ["--max-model-len", "", "Empty: what the model allows"],
    ["--quantization", "", ""],
    ["--tensor-parallel-size", "", ""],
    ["--dtype", "", ""],
    ["--lora-modules", "", ""],
    ["Extra arguments", "", ""],
    ["VLLM_IMAGE", INSTANT, "Default: vllm/vllm-openai:latest."],
    ["HF_HOME", "", ""],
    ["HF_TOKEN", "", "not set"],
    ["VLLM_API_KEY", "", "not set"],
  ];
  for (const [name, value, says] of values) {
    await expect(form.field(name), name).toHaveValue(value);
    await expect(form.field(name), name).toBeEditable();
    await expect(form.about(name), name).toContainText(says);
  }
  await expect(form.about("GPU_MEMORY_UTILIZATION")).toContainText("services.toml");
  await expect(form.about("VLLM_MODEL_NAME")).not.toContainText("services.toml");
  for (const name of ["HF_TOKEN", "VLLM_API_KEY"]) await expect(form.field(name)).toHaveAttribute("type", "password");
});

test("Save writes services.toml with its comments, leaves the running service alone, and the restart runs with it", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  await dash.running();
  const before = await inspect(dash.container);
  const { card, form } = await shown(page, dash.url);
  await form.field("GPU_MEMORY_UTILIZATION").fill("0.25");
  await form.field("VLLM_MODEL_NAME").fill("other");
  await form.more();
  await form.field("--max-model-len").fill("4096");
  await form.save();
  await form.says("Saved. It applies at the next start.");

  const toml = await dash.toml();
  expect(toml).toContain("gpu_memory_utilization = 0.25 # half");
  expect(toml).toContain('model_name = "other"');
  expect(toml).toMatch(/args = \["--max-model-len", "4096"\]/);
  for (const line of text.split("\n").filter((line) => line.includes("#") && !line.includes("half"))) expect(toml.split("\n")).toContain(line);

  await expect(pending(card).getByRole("row", { name: /GPU_MEMORY_UTILIZATION/ })).toContainText(/0\.5.*0\.25/);
  await expect(pending(card).getByRole("row", { name: /VLLM_MODEL_NAME/ })).toContainText(/lydia.*other/);
  await expect(pending(card).getByRole("row", { name: /--max-model-len/ })).toContainText("4096");
  await card.shows("Running");
  const after = await inspect(dash.container);
  expect([after?.Id, after?.State.StartedAt, after?.Config.Cmd]).toEqual([before?.Id, before?.State.StartedAt, before?.Config.Cmd]);

  // What was saved is there for whoever comes later, too.
  await page.reload();
  await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("0.25");
  await expect(pending(card)).toBeVisible();

  await card.button("Restart").click();
  await until("another container", 30_000, async () => (await inspect(dash.container))?.Id !== before?.Id);
  await dash.state("running");
  await expect(pending(card)).toHaveCount(0);
  const command = (await inspect(dash.container))?.Config.Cmd?.join(" ");
  expect(command).toContain(`--model ${MODEL} --served-model-name other --gpu-memory-utilization 0.25`);
  expect(command).toContain("--max-model-len 4096");
  await expect(card.value("Model")).toHaveText("other");
});

test("a setting that is taken back before the restart is pending no longer, and saving nothing says so", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  await dash.running();
  const { card, form } = await shown(page, dash.url);
  await form.save();
  await form.says("Nothing was different: nothing was saved.");
  expect(await dash.toml()).toBe(text);
  await form.field("GPU_MEMORY_UTILIZATION").fill("0.4");
  await form.save();
  await expect(pending(card)).toBeVisible();
  await form.field("GPU_MEMORY_UTILIZATION").fill("0.5");
  await form.save();
  await expect(pending(card)).toHaveCount(0);
  expect(await dash.toml()).toBe(text);
});

test("what is wrong is named while one types, and nothing is saved by that", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard, { tail: '\n[[service]]\nname = "small"\ntitle = "Small model"\nkind = "vllm"\ncontainer = "small-none"\napi_url = "http://127.0.0.1:18099"\n' });
  const { form } = await shown(page, `${dash.url}/services/vllm`);
  await form.more();
  const troubles: [field: string, typed: string, says: string | RegExp][] = [
    ["GPU_MEMORY_UTILIZATION", "1.5", "GPU_MEMORY_UTILIZATION: allowed is a number greater than 0 and at most 1, such as 0.5"],
    ["GPU_MEMORY_UTILIZATION", "half", "GPU_MEMORY_UTILIZATION: allowed is a number"],
    ["VLLM_API_URL", "localhost", "VLLM_API_URL: allowed is http://HOST:PORT"],
    ["VLLM_API_URL", "http://127.0.0.1:18099", "Port 18099 belongs to the service Small model."],
    ["CUDA_VISIBLE_DEVICES", "first", "CUDA_VISIBLE_DEVICES: allowed is indices such as 0 or 0,1"],
    ["VLLM_IMAGE", "an image", "VLLM_IMAGE: allowed is [REGISTRY/]NAME[:TAG]"],
    ["--max-model-len", "long", "--max-model-len: allowed is a number of tokens"],
    ["--tensor-parallel-size", "0", "--tensor-parallel-size: allowed is a number of GPUs"],
    ["--lora-modules", "adapter", "--lora-modules: allowed is NAME=PATH"],
    ["Extra arguments", "--enable-prefx-caching", "vLLM knows no --enable-prefx-caching. --enable-prefix-caching perhaps?"],
    ["Extra arguments", "--max-model-len 4096", "--max-model-len has a field of its own"],
    ["Extra arguments", "--gpu-memory-utilization=0.9", "--gpu-memory-utilization has a field of its own: GPU_MEMORY_UTILIZATION."],
    ["Extra arguments", "--seed", "--seed needs a value."],
    ["Extra arguments", "--seed 'x", "A quote does not close."],
    ["Extra arguments", "--seed $(id)", /is for a shell, and there is none here/],
    ["Extra arguments", "--help", "--help prints something and ends."],
    ["HF_HOME", "/etc", /HF_HOME/],
  ];
  for (const [field, typed, says] of troubles) {
    const was = await form.field(field).inputValue();
    await form.field(field).fill(typed);
    await expect(form.checked.locator(".troubles"), `${field} ${typed}`).toContainText(says);
    await form.field(field).fill(was);
    await expect(form.checked.locator(".troubles"), `${field} put right`).toHaveCount(0);
  }
  expect(await dash.toml()).toBe(text);
});

test("a wrong value is refused by Save, named, and stays in its field", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  await form.field("GPU_MEMORY_UTILIZATION").fill("1.5");
  await form.field("VLLM_MODEL_NAME").fill("kept");
  await form.save();
  await form.says("Not saved. What is wrong is named below.");
  await expect(form.checked).toContainText("GPU_MEMORY_UTILIZATION: allowed is a number greater than 0 and at most 1");
  await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("1.5");
  await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveAttribute("aria-invalid", "true");
  await expect(form.field("VLLM_MODEL_NAME")).toHaveValue("kept");
  expect(await dash.toml()).toBe(text);
  await form.field("GPU_MEMORY_UTILIZATION").fill("0.6");
  await form.save();
  await form.says("Saved.");
  expect(await dash.toml()).toContain("gpu_memory_utilization = 0.6 # half");
});

test("the exact command is shown while one types, and is the one that runs", async ({ page, dashboard }) => {
  const { dash, port } = await filed(dashboard);
  const { card, form } = await shown(page, dash.url);
  await form.field("GPU_MEMORY_UTILIZATION").fill("0.61");
  await expect(form.command).toContainText("docker run");
  await expect(form.command).toContainText(`--model ${MODEL}`);
  await expect(form.command).toContainText("--gpu-memory-utilization 0.61");
  await expect(form.command).toContainText(`-p 127.0.0.1:${port}:8000`);
  await form.field("VLLM_MODEL").fill("Qwen/Qwen2.5-0.5B-Instruct");
  await expect(form.command).toContainText("--model Qwen/Qwen2.5-0.5B-Instruct");
  await form.more();
  await form.field("Extra arguments").fill("--seed 7 --enable-prefix-caching");
  await expect(form.command).toContainText("--enable-prefix-caching");
  await expect(form.checked.getByRole("row", { name: /GPU_MEMORY_UTILIZATION/ })).toContainText(/0\.5.*0\.61/);
  const words = (await form.command.innerText()).replaceAll("\\\n", " ").trim().split(/\s+/);
  await form.save();
  await form.says("Saved.");
  await card.button("Start").click();
  await dash.state("running");
  const ran = (await inspect(dash.container))?.Config.Cmd ?? [];
  expect(words.slice(words.indexOf(INSTANT) + 1)).toEqual(ran);
});

test("for a process the exact command is vllm serve", async ({ page, process }) => {
  const dash = await process();
  const { form } = await shown(page, dash.url);
  await form.more();
  await form.field("--max-model-len").fill("2048");
  await expect(form.command).toContainText(`vllm serve`);
  await expect(form.command).toContainText(`--model ${MODEL}`);
  await expect(form.command).toContainText("--max-model-len 2048");
  await expect(form.command).not.toContainText("docker");
});

test("a chosen GPU is named with its free memory, and one that is not here is wrong", async ({ page, dashboard }) => {
  const folder = mkdtempSync(join(tmpdir(), "services-gpu-"));
  const file = join(folder, "machine.json");
  const device = { name: "NVIDIA L4", uuid: "GPU-5c8b", pci: "0000:01:00.0", memory: { total_mib: 24 * 1024, base_mib: 512 }, utilisation_percent: 3, temperature_c: 40, power_mw: 20_000, power_limit_mw: 72_000, compute: [] };
  writeFileSync(file, JSON.stringify({ driver_version: "580.65.06", devices: [device] }));
  try {
    const { dash } = await filed(dashboard, { env: { SERVICES_NVML_LIBRARY: process.env["SERVICES_TEST_NVML"] ?? "", NVML_SIM_FILE: file, NVML_SIM_CALLS: join(folder, "calls") } });
    const { form } = await shown(page, dash.url);
    await expect(page.getByRole("region", { name: "GPUs" })).toContainText("NVIDIA L4", { timeout: 20_000 });
    await form.field("CUDA_VISIBLE_DEVICES").fill("7");
    await expect(form.checked.locator(".troubles")).toContainText("GPU 7 is not here.");
    await form.field("CUDA_VISIBLE_DEVICES").fill("GPU-5c8b");
    await expect(form.checked).toContainText("GPU 0: NVIDIA L4, 23.5 of 24.0 GiB free");
    await form.field("CUDA_VISIBLE_DEVICES").fill("0");
    await form.field("GPU_MEMORY_UTILIZATION").fill("0.4");
    await expect(form.checked).toContainText("GPU 0: NVIDIA L4, 23.5 of 24.0 GiB free");
    await expect(form.checked.locator(".troubles")).toHaveCount(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("values from the environment are shown, marked and read-only, and posting others is refused", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { GPU_MEMORY_UTILIZATION: "0.33", HF_TOKEN: "hf_environment0123456789abcdef" } });
  const { form } = await shown(page, dash.url);
  await form.more();
  for (const [name, value] of [["VLLM_IMAGE", INSTANT], ["VLLM_MODEL", MODEL], ["GPU_MEMORY_UTILIZATION", "0.33"], ["VLLM_API_URL", `http://127.0.0.1:${dash.enginePort}`]] as const) {
    await expect(form.field(name), name).toHaveValue(value);
    await expect(form.field(name), name).not.toBeEditable();
    await expect(form.about(name), name).toContainText("set by the environment: change it there");
  }
  await expect(form.field("HF_TOKEN")).not.toBeEditable();
  await expect(form.field("HF_TOKEN")).toHaveValue("");
  await expect(form.field("VLLM_MODEL_NAME")).toBeEditable();

  for (const [name, value] of [["VLLM_IMAGE", "other/image:1"], ["VLLM_MODEL", "other/model"], ["GPU_MEMORY_UTILIZATION", "0.9"], ["VLLM_API_URL", "http://127.0.0.1:1"], ["HF_TOKEN", "hf_other"], ["HF_TOKEN-remove", "1"]] as const) {
    const answer = await send(dash, { [name]: value, VLLM_MODEL_NAME: "sneaked-in" });
    expect(answer.body, name).toContain("Not saved.");
    expect(answer.body, name).toContain(`${name.replace("-remove", "")} is set by a flag or the environment: change it there.`);
  }
  // An empty text is no way around it, either.
  expect((await send(dash, { VLLM_MODEL: "" })).body).not.toContain("Saved.");
  await expect(dash.toml()).rejects.toThrow(/ENOENT/);
  expect((await dash.service()).model).not.toBe("other/model");

  // What may be changed beside them is.
  await form.field("VLLM_MODEL_NAME").fill("mine");
  await form.save();
  await form.says("Saved.");
  expect(await dash.toml()).toContain('model_name = "mine"');
  expect(await dash.toml()).not.toMatch(/image|0\.33|hf_token/);
});

test("a secret from the environment is marked as such", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const dash = await dashboard({ env: { HF_TOKEN: "hf_environment0123456789abcdef" } });
  const { form } = await shown(page, dash.url);
  await form.more();
  await expect(form.about("HF_TOKEN")).toContainText("set, not shown");
  await expect(form.about("HF_TOKEN")).toContainText("set by the environment: change it there");
});

const COMMAND = (token: string) =>
  `docker run --gpus all -p 9000:8000 --privileged -v /etc:/etc -v /var/run/docker.sock:/var/run/docker.sock --network host -e HF_TOKEN=${token} vllm/vllm-openai:v1 --model X --max-model-len 4096 --enable-lora --lora-modules a=b/c`;

test("a pasted docker run fills the form, says what it leaves out, and is saved by Save alone", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  const token = "hf_pastedpastedpastedpastedpasted";
  await form.paste(COMMAND(token));
  await form.says("Filled in, not saved yet.");
  const values: [name: string, value: string | RegExp][] = [
    ["CUDA_VISIBLE_DEVICES", "all"],
    ["VLLM_API_URL", "http://127.0.0.1:9000"],
    ["VLLM_IMAGE", "vllm/vllm-openai:v1"],
    ["VLLM_MODEL", "X"],
    ["--max-model-len", "4096"],
    ["--lora-modules", "a=b/c"],
    ["HF_TOKEN", ""],
  ];
  for (const [name, value] of values) await expect(form.field(name), name).toHaveValue(value);
  const left = page.locator(".left-out li");
  for (const what of ["--privileged", "-v /etc:/etc", "-v /var/run/docker.sock:/var/run/docker.sock", "--network host"]) await expect(left.filter({ hasText: what }), what).toContainText(/only caches|no power/);
  await expect(left.filter({ hasText: "HF_TOKEN" })).toContainText("write it into the field");
  await expect(form.checked.getByRole("row", { name: /VLLM_IMAGE/ })).toContainText("vllm/vllm-openai:v1");
  await expect(form.command).toContainText("--lora-modules a=b/c");
  await expect(form.command).not.toContainText(/privileged|\/etc|docker\.sock|--network/);
  expect(await page.content()).not.toContain(token);
  expect(await dash.toml()).toBe(text);

  await form.save();
  await form.says("Saved.");
  const toml = await dash.toml();
  for (const part of ['model = "X"', 'image = "vllm/vllm-openai:v1"', "--enable-lora", "a=b/c", '"4096"', 'cuda_visible_devices = "all"', "9000"]) expect(toml).toContain(part);
  expect(toml).not.toMatch(/privileged|\/etc|docker\.sock|network/);
  expect(toml).not.toContain(token);
});

test("what is no command is refused in words, and the form stays as it was", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  const garbage: [typed: string, says: string | RegExp][] = [
    ["rm -rf /", "“rm” is another program than vllm, docker or podman."],
    ["docker ps -a", /docker ps/],
    ["docker run --gpus all", /Something is missing: .*IMAGE/],
    ["docker run 'vllm/vllm-openai --model x", "A quote does not close."],
    ["vllm serve $(cat /etc/passwd)", /is for a shell/],
    ["vllm serve x | tee log", /is for a shell/],
    ["   ", /no “vllm serve …”/],
    ["\u0000\u0001%%%", /./],
    ["{".repeat(20_000), /./],
  ];
  for (const [typed, says] of garbage) {
    await form.paste(typed);
    await form.says(says);
    await expect(page.locator(".settings .news"), typed.slice(0, 30)).not.toContainText("Filled in");
    await expect(form.field("VLLM_MODEL")).toHaveValue(MODEL);
  }
  expect(await dash.toml()).toBe(text);
});

test("a pasted vllm serve fills the form, too", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  await form.paste("vllm serve org/other \\\n  --served-model-name short \\\n  --gpu-memory-utilization 0.8 --port 9100 -tp 2 --seed 7");
  await form.says("Filled in, not saved yet.");
  for (const [name, value] of [["VLLM_MODEL", "org/other"], ["VLLM_MODEL_NAME", "short"], ["GPU_MEMORY_UTILIZATION", "0.8"], ["VLLM_API_URL", "http://127.0.0.1:9100"], ["--tensor-parallel-size", "2"], ["Extra arguments", "--seed 7"]] as const)
    await expect(form.field(name), name).toHaveValue(value);
});

test("after a broken setting one click puts back the last that became ready, and Start works again", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  await dash.running();
  const { card, form } = await shown(page, dash.url);
  await form.more();
  await form.field("--max-model-len").fill("100000");
  await form.save();
  await form.says("Saved. It applies at the next start.");
  const rows = await form.history();
  await expect(rows.first()).toContainText(/\d{4}-\d\d-\d\d \d\d:\d\d UTC · from the page · in force/);
  await expect(rows.first().getByRole("row", { name: /--max-model-len/ })).toContainText("100000");
  await card.button("Restart").click();
  await card.shows("Failed", 45_000);

  await page.getByRole("button", { name: "Back to the last that became ready" }).click();
  await form.says("Saved.");
  expect(await dash.toml()).toBe(text);
  await expect(form.field("--max-model-len")).toHaveValue("");
  await card.button("Start").click();
  await dash.state("running");
  expect((await inspect(dash.container))?.Config.Cmd).not.toContain("100000");
  await expect((await form.history()).first()).toContainText("in force");
  await expect(await form.history()).toHaveCount(3);
});

test("any earlier settings can be restored, and each save is listed with what it changed", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  for (const share of ["0.2", "0.3", "0.4"]) {
    await form.field("GPU_MEMORY_UTILIZATION").fill(share);
    await form.save();
    await form.says("Saved.");
    await expect((await form.history()).first()).toContainText(share);
  }
  const rows = await form.history();
  await expect(rows).toHaveCount(3);
  await expect(rows.nth(1).getByRole("row", { name: /GPU_MEMORY_UTILIZATION/ })).toContainText(/0\.2.*0\.3/);
  await expect(rows.nth(0)).toContainText("in force");
  await expect(rows.nth(0).getByRole("button", { name: "Restore" })).toHaveCount(0);
  await rows.nth(2).getByRole("button", { name: "Restore" }).click();
  await form.says("Saved.");
  await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("0.2");
  expect(await dash.toml()).toContain("gpu_memory_utilization = 0.2 # half");
});

test("of two tabs the second is told what the first changed, and keeps what was typed", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const { form: first } = await shown(page, dash.url);
  const other = await page.context().newPage();
  const { form: second } = await shown(other, dash.url);
  await second.field("VLLM_MODEL_NAME").fill("second");
  await second.field("GPU_MEMORY_UTILIZATION").fill("0.7");
  await first.field("GPU_MEMORY_UTILIZATION").fill("0.3");
  await first.save();
  await first.says("Saved.");
  await second.save();
  await second.says("Somebody changed the settings since this form was opened.");
  await expect(other.locator(".settings .news").getByRole("row", { name: /GPU_MEMORY_UTILIZATION/ })).toContainText(/0\.5.*0\.3/);
  await expect(second.field("VLLM_MODEL_NAME")).toHaveValue("second");
  await expect(second.field("GPU_MEMORY_UTILIZATION")).toHaveValue("0.7");
  expect(await dash.toml()).toContain("gpu_memory_utilization = 0.3 # half");
  expect(await dash.toml()).not.toContain("second");
  await second.save();
  await second.says("Saved.");
  expect(await dash.toml()).toContain("gpu_memory_utilization = 0.7 # half");
  expect(await dash.toml()).toContain('model_name = "second"');
  // The first, in which nobody writes, follows.
  await expect(first.field("VLLM_MODEL_NAME")).toHaveValue("second");
  await other.close();
});

test("a refused form is not taken away when somebody else saves", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  await form.field("VLLM_MODEL_NAME").fill("a-long-name-that-was-typed");
  await form.field("GPU_MEMORY_UTILIZATION").fill("9");
  await form.save();
  await form.says("Not saved.");
  expect((await send(dash, { CUDA_VISIBLE_DEVICES: "1" })).body).toContain("Saved.");
  // The other tab's save arrives by the stream.
  await until("the change to have come through", 10_000, async () => (await fieldsOf(dash))["CUDA_VISIBLE_DEVICES"] === "1");
  await page.waitForTimeout(1_500);
  await expect(form.field("VLLM_MODEL_NAME")).toHaveValue("a-long-name-that-was-typed");
  await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("9");
});

test("what was filled in by a paste is not taken away when somebody else saves", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  await form.paste("vllm serve org/pasted --port 9000");
  await form.says("Filled in, not saved yet.");
  expect((await send(dash, { CUDA_VISIBLE_DEVICES: "1" })).body).toContain("Saved.");
  await page.waitForTimeout(1_500);
  await expect(form.field("VLLM_MODEL")).toHaveValue("org/pasted");
});

test("a services.toml that was broken by hand is not touched, and the service and its last good settings stay", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  await dash.running();
  const before = await inspect(dash.container);
  const { card, form } = await shown(page, dash.url);
  const broken = `${text}\n[[service]\nname = = "x"\n`;
  await writeFile(join(dash.folder, "state/services.toml"), broken);
  await form.field("GPU_MEMORY_UTILIZATION").fill("0.4");
  await form.save();
  await form.says(/services\.toml.*line \d+, column \d+/s);
  await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("0.4");
  expect(await dash.toml()).toBe(broken);
  await card.shows("Running");
  expect((await inspect(dash.container))?.State.StartedAt).toBe(before?.State.StartedAt);
  await card.button("Restart").click();
  await until("another start", 30_000, async () => (await inspect(dash.container))?.State.StartedAt !== before?.State.StartedAt);
  await dash.state("running");
  expect((await inspect(dash.container))?.Config.Cmd).toEqual(before?.Config.Cmd);
  expect(await dash.toml()).toBe(broken);

  await writeFile(join(dash.folder, "state/services.toml"), text);
  await form.save();
  await form.says("Saved.");
  expect(await dash.toml()).toBe(text.replace("0.5 # half", "0.4 # half"));
});

test("what Save said stays, with its focus, while the change comes back by the stream", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  await dash.running();
  const { card, form } = await shown(page, dash.url);
  for (const share of ["0.2", "0.3"]) {
    await form.field("GPU_MEMORY_UTILIZATION").fill(share);
    await form.save();
    await expect(pending(card)).toContainText(share);
    await page.waitForTimeout(1_000);
    await form.says("Saved. It applies at the next start.");
    await expect(page.locator(".settings .news")).toBeFocused();
  }
});

test("what was changed by hand meanwhile is a conflict, and survives", async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const { form } = await shown(page, dash.url);
  await writeFile(join(dash.folder, "state/services.toml"), text.replace("0.5 # half", "0.6 # more").replace("# The end.", 'model_name = "by-hand"'));
  await form.field("CUDA_VISIBLE_DEVICES").fill("1");
  await form.save();
  await form.says("Somebody changed the settings since this form was opened.");
  await expect(page.locator(".settings .news").getByRole("row", { name: /VLLM_MODEL_NAME/ })).toContainText("by-hand");
  await expect(form.field("CUDA_VISIBLE_DEVICES")).toHaveValue("1");
  expect(await dash.toml()).toContain("0.6 # more");
});

test("where the new container cannot be created the old one is back as it was", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  await dash.running();
  await dash.command("stop");
  await dash.state("stopped");
  const before = await inspect(dash.container);
  const { card, form } = await shown(page, dash.url);
  await form.more();
  await form.field("VLLM_IMAGE").fill("vllm/vllm-openai:not-there");
  await form.save();
  await form.says("Saved.");
  await card.button("Start").click();
  await card.shows("Failed");
  await expect(card.article).toContainText("vllm/vllm-openai:not-there");
  const after = await inspect(dash.container);
  expect([after?.Id, after?.Config.Image, after?.Config.Cmd]).toEqual([before?.Id, INSTANT, before?.Config.Cmd]);
  expect(await docker("ps", "-aq", "--filter", `name=${dash.container}-`)).toBe("");

  await page.getByRole("button", { name: "Back to the last that became ready" }).click();
  await form.says("Saved.");
  await card.button("Start").click();
  await dash.state("running");
  expect((await inspect(dash.container))?.Id).toBe(before?.Id);
});

test("the form is used by keyboard alone", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const { card, form } = await shown(page, dash.url);
  const label = () =>
    page.evaluate(() => {
      const now = document.activeElement as HTMLInputElement | null;
      const style = now ? getComputedStyle(now) : undefined;
      const ring = style !== undefined && (style.outlineStyle !== "none" || style.boxShadow !== "none");
      return `${now?.labels?.[0]?.innerText ?? now?.innerText ?? ""}${ring ? "" : " (no focus ring)"}`;
    });
  await card.button("Start").focus();
  for (let press = 0; press < 60 && !(await label()).startsWith("GPU_MEMORY_UTILIZATION"); press++) await page.keyboard.press("Tab");
  expect(await label()).toBe("GPU_MEMORY_UTILIZATION");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("0.45");
  await page.keyboard.press("Enter");
  await form.says("Saved.");
  expect(await dash.toml()).toContain("0.45 # half");
  // What happened has the focus, and the form is behind it.
  await expect(page.locator(".settings .news")).toBeFocused();
  await page.keyboard.press("Tab");
  expect(await label()).toBe("VLLM_API_URL");
});

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`in ${colorScheme}`, () => {
    test.use({ colorScheme });
    test(`axe finds nothing serious in the open form (${colorScheme})`, async ({ page, dashboard }) => {
      const { dash } = await filed(dashboard);
      const { form } = await shown(page, dash.url);
      await form.more();
      await form.field("GPU_MEMORY_UTILIZATION").fill("0.4");
      await form.save();
      await form.says("Saved.");
      await form.history();
      await form.more();
      await form.field("--max-model-len").fill("4096");
      await expect(form.command).toBeVisible();
      expect(await findings(page), "saved, and typing").toEqual([]);
      await form.field("GPU_MEMORY_UTILIZATION").fill("4");
      await form.save();
      await form.says("Not saved.");
      expect(await findings(page), "refused").toEqual([]);
      await form.paste(COMMAND("hf_x"));
      await form.says("Filled in");
      expect(await findings(page), "filled in").toEqual([]);
    });
  });
}

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true });
  for (const locale of ["en-GB", "ru-RU"]) {
    test(`the open form is whole at 390 px (${locale})`, async ({ browser, dashboard }) => {
      const { dash } = await filed(dashboard);
      expect((await send(dash, { VLLM_MODEL: `org/${"x".repeat(120)}`, "--max-model-len": "4096" })).status).toBe(200);
      const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale });
      const page = await context.newPage();
      await open(page, dash.url);
      const settings = page.locator(".settings");
      for (const details of await settings.locator(":scope > details, form > details").all())
        if ((await details.getAttribute("open")) === null) await details.locator(":scope > summary").click();
      await settings.locator('textarea[name="command"]').fill(COMMAND("hf_x"));
      await settings.locator("form.paste button").click();
      await expect(settings.locator(".left-out li").first()).toBeVisible();
      await expect(settings.locator("pre.command")).toBeVisible();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, "pixels too wide").toBeLessThanOrEqual(0);
      for (const control of await settings.locator("input:visible:not([type=checkbox]), textarea:visible, button:visible").all()) {
        const box = await control.boundingBox();
        expect(box && box.x >= 0 && box.x + box.width <= 390, `within the screen: ${await control.evaluate((one) => one.outerHTML.slice(0, 120))}`).toBeTruthy();
        expect(box?.height, `large enough for a thumb: ${await control.evaluate((one) => one.outerHTML.slice(0, 120))}`).toBeGreaterThanOrEqual(36);
      }
      await context.close();
    });
  }
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("the form saves, refuses, fills in and restores as plain forms", async ({ page, dashboard }) => {
    const { dash, text } = await filed(dashboard);
    await dash.running();
    const card = new Card(page);
    const form = new Form(card);
    await page.goto(`${dash.url}/services/vllm`);
    await form.field("GPU_MEMORY_UTILIZATION").fill("1.5");
    await form.field("VLLM_MODEL_NAME").fill("kept");
    await form.save();
    await form.says("Not saved. What is wrong is named below.");
    await expect(form.checked).toContainText("GPU_MEMORY_UTILIZATION: allowed is a number greater than 0 and at most 1");
    await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("1.5");
    await expect(form.field("VLLM_MODEL_NAME")).toHaveValue("kept");
    expect(await dash.toml()).toBe(text);

    await form.field("GPU_MEMORY_UTILIZATION").fill("0.35");
    await form.save();
    await form.says("Saved. It applies at the next start.");
    await expect.soft(pending(card), "the page that answers Save").toContainText("0.35", { timeout: 1_000 });
    await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("0.35");
    expect(await dash.toml()).toContain("0.35 # half");

    await form.paste("vllm serve org/pasted --port 9000 --max-model-len 2048 --ssl-certfile x --host 0.0.0.0");
    await form.says("Filled in, not saved yet.");
    await expect(form.field("VLLM_MODEL")).toHaveValue("org/pasted");
    await expect(form.command).toContainText("--model org/pasted");
    expect(await dash.toml()).not.toContain("org/pasted");
    await form.save();
    await form.says("Saved.");
    expect(await dash.toml()).toContain('model = "org/pasted"');
    await form.paste("rm -rf /");
    await form.says("“rm” is another program than vllm, docker or podman.");

    await page.getByRole("button", { name: "Back to the last that became ready" }).click();
    await form.says("Saved.");
    expect(await dash.toml()).toContain("gpu_memory_utilization = 0.5 # half");
    expect(await dash.toml()).toContain(`model = "${MODEL}"`);
    // A reload asks for the page of the service, and it is there.
    await page.goto(`${dash.url}/services/vllm`);
    await expect(form.field("GPU_MEMORY_UTILIZATION")).toHaveValue("0.5");
  });

  test("of two windows the second is told without JavaScript, too", async ({ page, dashboard }) => {
    const { dash } = await filed(dashboard);
    const form = new Form(new Card(page));
    await page.goto(dash.url);
    await send(dash, { GPU_MEMORY_UTILIZATION: "0.2" });
    await form.field("VLLM_MODEL_NAME").fill("mine");
    await form.save();
    await form.says("Somebody changed the settings since this form was opened.");
    await expect(form.field("VLLM_MODEL_NAME")).toHaveValue("mine");
    expect(await dash.toml()).not.toContain("mine");
    await form.save();
    await form.says("Saved.");
    expect(await dash.toml()).toContain("mine");
  });
});
