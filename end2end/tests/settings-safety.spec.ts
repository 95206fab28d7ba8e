// No setting escapes its field, no secret its place, and no accident breaks services.toml.
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INSTANT, type Dashboard } from "../harness/dashboard.ts";
import { docker, inspect } from "../harness/docker.ts";
import { sleep } from "../harness/net.ts";
import { fieldsOf, filed, kept, MODEL, modeOf, powers, send, whole } from "../harness/settings.ts";
import { expect, open, test as base } from "./fixtures.ts";

/** A folder that the owner lets in, with a model in it. */
const test = base.extend<{ folder: string; outside: string }>({
  folder: async ({}, use) => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "services-models-")));
    mkdirSync(join(folder, "tiny"));
    writeFileSync(join(folder, "tiny/config.json"), '{"mark": "a model"}');
    mkdirSync(join(folder, "adapter"));
    await use(folder);
    rmSync(folder, { recursive: true, force: true });
  },

  // What nobody lets in: a folder of the test's own, so that a defect harms nothing else.
  outside: async ({}, use) => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "services-outside-")));
    mkdirSync(join(folder, "ssl"));
    await use(folder);
    rmSync(folder, { recursive: true, force: true });
  },
});

const letIn = (folder: string) => ({ head: `[dashboard]\nfolders = ["${folder}"]\n` });

/** Starts it with what is saved now, and looks at what was created. */
async function started(dash: Dashboard, folders: string[], what: string) {
  await dash.command("start");
  await dash.state("running", "failed");
  if ((await inspect(dash.container)) !== undefined) expect.soft(await powers(dash, folders), what).toEqual([]);
  await dash.command("stop");
  await dash.state("stopped", "failed");
}

test("a folder below a configured one is mounted read-only, and seen inside", async ({ page, dashboard, folder }) => {
  const { dash } = await filed(dashboard, letIn(folder));
  const card = await open(page, dash.url);
  const form = page.getByRole("form", { name: "Configuration" });
  await form.getByLabel("VLLM_MODEL", { exact: true }).fill(`${folder}/tiny`);
  await form.locator("summary").click();
  await form.getByLabel("--lora-modules", { exact: true }).fill(`mine=${folder}/adapter`);
  await expect(form.getByRole("group", { name: "The exact command" })).toContainText(`-v ${folder}/tiny:${folder}/tiny:ro`);
  await form.getByRole("button", { name: "Save", exact: true }).click();
  await expect.poll(() => dash.toml()).toContain(`model = "${folder}/tiny"`);
  await dash.running();
  expect(await powers(dash, [folder])).toEqual([]);
  const { Mounts: mounts, Config: config } = await whole(dash.container);
  for (const name of ["tiny", "adapter"]) expect(mounts).toContainEqual(expect.objectContaining({ Source: `${folder}/${name}`, Destination: `${folder}/${name}`, RW: false }));
  expect(config.Cmd?.join(" ")).toContain(`--model ${folder}/tiny`);
  const out = join(folder, "seen.json");
  await docker("cp", `${dash.container}:${folder}/tiny/config.json`, out);
  await expect(card.value("Model")).toHaveText("lydia");
});

test("no value that is sent to the form gives a container power over the machine", async ({ dashboard, folder, outside }) => {
  test.setTimeout(240_000);
  symlinkSync(outside, join(folder, "link"));
  symlinkSync("/", join(folder, "tiny/root"));
  const { dash, text } = await filed(dashboard, letIn(folder));
  const refused: [field: string, value: string][] = [
    ...["/etc", "/etc/", "//etc", "/", "/var/run", "/var/run/docker.sock", "/run", "/root", "/proc/self/root", "/dev", `${folder}/../../etc`, `${folder}/tiny/../../..`, `${folder}/link`, `${folder}/link/ssl`, `${folder}/tiny/root/etc`, `${folder}x`, "--privileged", "-v", "-v/:/host", "/etc:/root"].map((value): [string, string] => ["VLLM_MODEL", value]),
    ...["/etc", "/", "/var/run", "/var/run/docker.sock", "relative", "../..", "/etc/../etc", `${folder}/../..`, `${folder}/link`, `${folder}/link/new`, `${folder}/link/new/er`, `${folder}/tiny:/etc`, "/nonexistent/x", "--privileged"].map((value): [string, string] => ["HF_HOME", value]),
    ...["x --privileged", "--privileged", "-v", "x:1 -v /:/host", "../x", "x;y", "$(id)", "/etc", "x\n--privileged"].map((value): [string, string] => ["VLLM_IMAGE", value]),
    ...["-v /:/host", "-v/:/host", "--volume /:/host", "--network=host", "--net host", "--privileged", "--pid=host", "--cap-add ALL", "--mount type=bind,source=/,target=/host", "--user root", "; rm -rf /", "--seed 1; rm -rf /", "--seed $(id)", "--seed `id`", "--seed 1 && id", "--seed 1 | sh", "--seed 1 > /etc/x", "--seed 1\n; id", "stray words", "--model /etc", "--model=/etc", "--port 1", "--host 0.0.0.0", "--lora-modules a=/etc", "--lora_modules a=/etc", "--lora-mod a=/etc", "--lora-modules=a=/etc"].map((value): [string, string] => ["args", value]),
    ...["a=/etc", "a=/", "a=/var/run/docker.sock", '{"name":"a","path":"/etc"}', `'{"name":"a","path":"/etc"}'`, `a=${folder}/link`, `a=${folder}/../..`, "--privileged", "a=/etc b=c/d", "=/etc", "a="].map((value): [string, string] => ["--lora-modules", value]),
    ...["1 --privileged", "--privileged", "-v", "1;id", "$(id)"].map((value): [string, string] => ["--max-model-len", value]),
    ...["fp8 --privileged", "--privileged", "a;b", "a/b"].map((value): [string, string] => ["--quantization", value]),
    ...["half -v /:/x", "-v"].map((value): [string, string] => ["--dtype", value]),
    ...["2 --privileged", "-1", "99999"].map((value): [string, string] => ["--tensor-parallel-size", value]),
    ...["0,--privileged", "0 -v /:/x", "/dev/nvidia0"].map((value): [string, string] => ["CUDA_VISIBLE_DEVICES", value]),
    ...["0.5 --privileged", "nan", "inf", "-1"].map((value): [string, string] => ["GPU_MEMORY_UTILIZATION", value]),
    ...["http://0.0.0.0:99999", "unix:///var/run/docker.sock", "http://x:1 -p 0.0.0.0:1:1", "http://a@b:1", "file:///etc/passwd"].map((value): [string, string] => ["VLLM_API_URL", value]),
    ...["--privileged", "-v", "a\u0007b"].map((value): [string, string] => ["VLLM_MODEL_NAME", value]),
  ];
  const taken: string[] = [];
  for (const [field, value] of refused) {
    const answer = await send(dash, { [field]: value });
    expect(answer.status, `${field}=${value}`).toBeLessThan(500);
    if ((await dash.toml()) === text) continue;
    taken.push(`${field}=${value}`);
    // Taken or not, what comes of it has no power.
    await started(dash, [folder], `${field}=${value}`);
    await writeFile(join(dash.folder, "state/services.toml"), text);
    await send(dash, {});
  }
  expect.soft(taken, "taken, though it should have been refused").toEqual([]);
  expect(await dash.toml()).toBe(text);
});

test("values that are only odd are taken as they are, and give no power", async ({ dashboard, folder }) => {
  test.setTimeout(150_000);
  const { dash } = await filed(dashboard, letIn(folder));
  const odd: Record<string, string>[] = [
    { VLLM_MODEL: "../.." },
    { VLLM_MODEL: `${folder}/tiny:/etc` },
    { args: "--device /dev/kvm" },
    { VLLM_MODEL: "../../etc", VLLM_MODEL_NAME: "a;b $(id) `id`" },
    { VLLM_MODEL: "org/model -v /:/host --privileged" },
    { args: "--seed 7 --chat-template '$(id); rm -rf / --privileged'" },
    { args: "--chat-template /etc/passwd --download-dir /etc --tokenizer /var/run" },
    { args: '--chat-template "a\nb"' },
    { "--lora-modules": "a=../../etc" },
    { "--lora-modules": `a=${folder}/none` },
    { CUDA_VISIBLE_DEVICES: "all" },
    { HF_HOME: `${folder}/hf` },
  ];
  for (const fields of odd) {
    const answer = await send(dash, fields);
    expect(answer.status, JSON.stringify(fields)).toBe(200);
    if (!answer.body.includes("Saved.")) continue;
    await dash.command("start");
    await dash.state("running", "failed");
    const found = await powers(dash, [folder]);
    // The cache is the one that may be written, and lies where the owner let it.
    expect(found.filter((one) => !(fields["HF_HOME"] && one.includes(`"Source":"${folder}/hf"`) && one.includes("/root/.cache/huggingface"))), JSON.stringify(fields)).toEqual([]);
    if (fields["VLLM_MODEL"]?.includes(" ")) expect((await whole(dash.container)).Config.Cmd).toContain(fields["VLLM_MODEL"]);
    await dash.command("stop");
    await dash.state("stopped", "failed");
  }
});

test("a folder that becomes a link to elsewhere after it was saved is not followed", async ({ dashboard, folder, outside }) => {
  const { dash } = await filed(dashboard, letIn(folder));
  expect((await send(dash, { VLLM_MODEL: `${folder}/tiny` })).body).toContain("Saved.");
  rmSync(join(folder, "tiny"), { recursive: true });
  symlinkSync(outside, join(folder, "tiny"));
  await dash.command("start");
  await dash.state("running", "failed");
  const mounts = (await inspect(dash.container)) === undefined ? [] : (await whole(dash.container)).Mounts;
  const real = mounts.map((one) => {
    try {
      return realpathSync(one.Source);
    } catch {
      return one.Source;
    }
  });
  expect(real.filter((one) => !one.startsWith(folder) && !one.startsWith(realpathSync(dash.folder)))).toEqual([]);
});

test("keys without a field cannot be sent", async ({ dashboard }) => {
  const { dash, text } = await filed(dashboard);
  for (const [name, value] of [["VLLM_CONTAINER", "other"], ["container", "../../x"], ["VLLM_RUNTIME", "process"], ["runtime", "process"], ["command", "id"], ["folders", "/"], ["kind", "process"], ["auto_start", "true"], ["SERVICES_ADDR", "0.0.0.0:1"], ["DOCKER_HOST", "unix:///x"], ["api_key", "x"], ["name", "x"]] as const) {
    const answer = await send(dash, { [name]: value });
    expect(answer.status, name).toBe(200);
    expect(await dash.toml(), name).toBe(text);
  }
  for (const name of ["..%2F..%2Fvllm", "%2e%2e", "nobody", "vllm%00", "vllm%0a", "x".repeat(3000)]) {
    const answer = await dash.ask(`/parts/settings/${name}`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: "VLLM_MODEL=x" });
    expect([400, 404, 414], name).toContain(answer.status);
  }
  // A form that does not say what it was made from is none of ours.
  for (const base of ["", "{}", "null", "[]", '{"VLLM_MODEL":1}', "x".repeat(10_000)]) expect((await send(dash, { base, VLLM_MODEL: "x" })).body).not.toContain("Saved.");
  expect((await send(dash, { VLLM_MODEL: "x" }, { raw: true })).body).not.toContain("Saved.");
  expect(await dash.toml()).toBe(text);
});

const secret = (prefix = "") => prefix + randomBytes(18).toString("hex");

/** All that anybody can read, by where it stood. */
async function everywhere(dash: Dashboard): Promise<[where: string, text: string][]> {
  const found: [string, string][] = [];
  const pages = ["/", "/services/vllm", "/explain", "/nothing/here", "/parts/settings/vllm", "/parts/models/vllm", "/parts/images"];
  for (const lang of ["en", "ru"])
    for (const path of pages) found.push([`${path} (${lang})`, (await dash.ask(path, { headers: { accept: "text/html", cookie: `lang=${lang}` } })).body]);
  for (const path of ["/api/services", "/api/services/vllm", "/api/services/nobody", "/api/images", "/api/services/vllm/logs", "/api/services/vllm/container-logs", "/healthz"])
    found.push([path, (await dash.ask(path)).body]);
  const stream = await dash.stream();
  await sleep(2_500);
  found.push(["/api/stream", JSON.stringify(stream.events)]);
  stream.close();
  found.push(["the dashboard's own log", dash.output]);
  for (const [name, bytes] of await kept(dash)) found.push([name, bytes.toString("latin1")]);
  return found;
}

const leaks = (found: [string, string][], secrets: string[]) => found.filter(([, text]) => secrets.some((one) => text.includes(one))).map(([where]) => where);

test("secrets reach the container and appear nowhere else", async ({ page, dashboard }) => {
  test.setTimeout(120_000);
  const { dash, text } = await filed(dashboard, { tail: "\n# 0644\n" });
  chmodSync(join(dash.folder, "state/services.toml"), 0o644);
  const [token, key] = [secret("hf_"), secret()];
  await open(page, dash.url);
  const form = page.getByRole("form", { name: "Configuration" });
  const more = async () => {
    if ((await form.locator("details").getAttribute("open")) === null) await form.locator("summary").click();
  };
  await more();
  const seen: [string, string][] = [];
  page.on("response", async (answer) => {
    if (answer.url().includes("/parts/")) seen.push([`the answer of ${answer.url()}`, await answer.text().catch(() => "")]);
  });
  await form.getByLabel("HF_TOKEN", { exact: true }).fill(token);
  await form.getByLabel("VLLM_API_KEY", { exact: true }).fill(key);
  await expect(form.getByRole("group", { name: "The exact command" })).toContainText("-e HF_TOKEN");
  await expect(form.locator("[data-checked]").getByRole("row", { name: /HF_TOKEN/ })).toContainText("a new value, not shown");
  await form.getByRole("button", { name: "Save", exact: true }).click();
  await expect.poll(() => dash.toml()).toContain(token);
  expect(await dash.toml()).toContain(key);
  expect.soft(await modeOf(dash), "a file with secrets is its owner's alone").toBe(0o600);
  await more();
  await expect(form.locator(".field").filter({ has: page.getByLabel("HF_TOKEN", { exact: true }) })).toContainText("set, not shown");
  await expect(form.getByLabel("HF_TOKEN", { exact: true })).toHaveValue("");

  await dash.running();
  const { Config: config } = await whole(dash.container);
  expect(config.Env).toEqual(expect.arrayContaining([`HF_TOKEN=${token}`, `VLLM_API_KEY=${key}`]));
  expect(JSON.stringify(config.Cmd)).not.toMatch(new RegExp(`${token}|${key}`));
  expect(leaks(await everywhere(dash), [token, key]), "after a save and a start").toEqual([]);

  // What fails with other secrets in it gives them away as little.
  const [second, third, fourth] = [secret(), secret("hf_"), secret("sk-")];
  const secrets = { HF_TOKEN: third, VLLM_API_KEY: second };
  const answers: [string, string][] = [];
  const keep = async (what: string, answer: Promise<{ body: string }>) => answers.push([what, (await answer).body]);
  const form_ = { "content-type": "application/x-www-form-urlencoded" };
  for (const cookie of ["lang=en", "lang=ru"]) {
    const headers = { cookie };
    await keep("a wrong value", send(dash, { ...secrets, GPU_MEMORY_UTILIZATION: "9" }, { headers }));
    await keep("a wrong value, the whole page", dash.ask("/parts/settings/vllm", { method: "POST", headers: { ...form_, cookie, accept: "text/html" }, body: new URLSearchParams({ ...(await fieldsOf(dash)), ...secrets, GPU_MEMORY_UTILIZATION: "9" }).toString() }));
    await keep("a wrong secret", send(dash, { HF_TOKEN: `${third} with a space`, VLLM_API_KEY: `${second}\u00e9` }, { headers }));
    await keep("a wrong secret, checked", send(dash, { HF_TOKEN: `${third} x`, VLLM_API_KEY: `${second}\u0007` }, { headers, at: "/check" }));
    await keep("a check", send(dash, secrets, { headers, at: "/check" }));
    await keep("a conflict", send(dash, { ...secrets, base: "{}" }, { headers }));
    await keep("no base", send(dash, { ...secrets, base: "" }, { headers }));
    await keep("an unknown service", dash.ask("/parts/settings/nobody", { method: "POST", headers: { ...form_, cookie }, body: new URLSearchParams(secrets).toString() }));
    await keep("no form", dash.ask("/parts/settings/vllm", { method: "POST", headers: { "content-type": "application/json", cookie }, body: JSON.stringify(secrets) }));
    await keep("half a form", dash.ask("/parts/settings/vllm", { method: "POST", headers: { ...form_, cookie }, body: `HF_TOKEN=${third}&VLLM_API_KEY=${second}&%zz=%ff` }));
    for (const command of [`docker run -e HF_TOKEN=${third} -e VLLM_API_KEY=${second} vllm/vllm-openai:latest --model m --api-key ${fourth}`, `HF_TOKEN=${third} vllm serve m --api-key=${fourth}`, `docker run -e "HF_TOKEN=${third}" --api-key ${second} 'unclosed`, `docker ps -e HF_TOKEN=${third} --api-key ${fourth}`, `docker run --env=HF_TOKEN=${third}`, `HF_TOKEN=${third} python x.py --api-key ${fourth}`, `vllm serve m --hf-token ${third} $(x)`, `docker run --label x=${third} -e AWS_SECRET_ACCESS_KEY=${second} vllm/vllm-openai`])
      await keep(`a paste: ${command.replaceAll(/[0-9a-f]{30,}/g, "…")}`, send(dash, { command }, { raw: true, headers, at: "/paste" }));
  }
  await writeFile(join(dash.folder, "state/services.toml"), `${await dash.toml()}\n[[broken`);
  await keep("a broken file", send(dash, secrets));
  await keep("a broken file, the whole page", dash.ask("/parts/settings/vllm", { method: "POST", headers: form_, body: new URLSearchParams({ ...(await fieldsOf(dash)), ...secrets }).toString() }));
  await writeFile(join(dash.folder, "state/services.toml"), (await dash.toml()).replace("\n[[broken", ""));
  expect.soft(leaks(answers, [token, key, second, third, fourth]), "answers").toEqual([]);
  expect(leaks(seen, [token, key]), "what the page got").toEqual([]);
  expect(await dash.toml()).not.toMatch(new RegExp(`${second}|${third}`));
  expect(leaks(await everywhere(dash), [token, key, second, third, fourth]), "after failed saves").toEqual([]);
  expect(await page.content()).not.toContain(token);

  // History says that, not what.
  const body = (await dash.ask("/parts/settings/vllm")).body;
  expect(body).toContain("HF_TOKEN");
  expect(body).toContain("a new value, not shown");
  expect(text).not.toContain("hf_token");
});

test("a services.toml that is broken where a secret stands does not show it", async ({ dashboard }) => {
  const { dash } = await filed(dashboard);
  const token = secret("hf_");
  const key = secret();
  await send(dash, { HF_TOKEN: token, VLLM_API_KEY: key });
  const good = await dash.toml();
  const answers: [string, string][] = [];
  for (const broken of [good.replace(`"${token}"`, `"${token}`), good.replace(`"${key}"`, `${key}`), good.replace(`"${key}"`, `"${key}" "x"`), good.replace(`hf_token = "${token}"`, `hf_token = ["${token}"]`), good.replace(`hf_token = "${token}"`, `hf_tokens = "${token}"`), good.replace(`"${token}"`, `"${token} x"`)]) {
    await writeFile(join(dash.folder, "state/services.toml"), broken);
    answers.push([broken.slice(-200), (await send(dash, { GPU_MEMORY_UTILIZATION: "0.4" })).body]);
    answers.push(["its check", (await send(dash, { GPU_MEMORY_UTILIZATION: "0.4" }, { at: "/check" })).body]);
    expect(await dash.toml()).toBe(broken);
  }
  expect(leaks(answers, [token, key]).map((one) => one.replaceAll(new RegExp(`${token}|${key}`, "g"), "SECRET"))).toEqual([]);
  expect(dash.output).not.toMatch(new RegExp(`${token}|${key}`));
});

test("an empty secret keeps it, and the tick takes it away", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const [token, key] = [secret("hf_"), secret()];
  expect((await send(dash, { HF_TOKEN: token, VLLM_API_KEY: key })).body).toContain("Saved.");
  expect.soft(await modeOf(dash)).toBe(0o600);
  expect((await send(dash, { GPU_MEMORY_UTILIZATION: "0.4", HF_TOKEN: "", VLLM_API_KEY: "   " })).body).toContain("Saved.");
  expect(await dash.toml()).toContain(token);
  expect(await dash.toml()).toContain(key);
  await open(page, dash.url);
  const form = page.getByRole("form", { name: "Configuration" });
  await form.locator("summary").click();
  await form.locator(".field").filter({ has: page.getByLabel("HF_TOKEN", { exact: true }) }).getByRole("checkbox", { name: "Remove it" }).check();
  await form.getByRole("button", { name: "Save", exact: true }).click();
  await expect.poll(() => dash.toml()).not.toContain(token);
  expect(await dash.toml()).toContain(key);
  await dash.running();
  const env = (await whole(dash.container)).Config.Env ?? [];
  expect(env).toContain(`VLLM_API_KEY=${key}`);
  expect(env.filter((one) => one.startsWith("HF_TOKEN"))).toEqual([]);
});

test("a services.toml that Save makes is its owner's alone", { tag: "@no-engine" }, async ({ dashboard }) => {
  const dash = await dashboard();
  await expect(dash.toml()).rejects.toThrow(/ENOENT/);
  expect((await send(dash, { VLLM_MODEL_NAME: "mine" })).body).toContain("Saved.");
  expect(await modeOf(dash)).toBe(0o600);
  expect(await dash.toml()).toMatch(/\[\[service\]\]\nname = "vllm"\nmodel_name = "mine"/);
});

test("SIGKILL amid saves never leaves a broken or empty services.toml, and the next start loads it", { tag: "@no-engine" }, async ({ dashboard }) => {
  test.setTimeout(120_000);
  const { dash, text } = await filed(dashboard);
  const long = `--hf-overrides '{"x": "${"a".repeat(7_000)}"}' --seed 7`;
  let saves = 0;
  for (let round = 0; round < 15; round++) {
    let over = false;
    const saving = (async () => {
      while (!over) {
        saves++;
        const answer = await send(dash, { GPU_MEMORY_UTILIZATION: `0.${10 + (saves % 89)}`, args: saves % 2 ? long : "" }).catch(() => undefined);
        if (answer === undefined) return;
      }
    })();
    await sleep(30 + Math.random() * 120);
    await dash.down("SIGKILL");
    over = true;
    await saving;
    const toml = await dash.toml();
    for (const line of ["# Written by hand.", 'name = "vllm" # the one', `image = "${INSTANT}" # a fast one`, `model = "${MODEL}"`, "# The end."]) expect(toml, `round ${round}`).toContain(line);
    const share = /^gpu_memory_utilization = (0\.\d+) # half$/m.exec(toml)?.[1];
    expect(share, `round ${round}: ${toml.slice(0, 400)}`).toBeDefined();
    expect(toml.includes("aaaa"), `round ${round}: the arguments are whole or not there`).toBe(toml.includes(`${"a".repeat(7_000)}"}`));
    await dash.up();
    expect((await fieldsOf(dash))["GPU_MEMORY_UTILIZATION"], `round ${round}`).toBe(share);
  }
  expect(saves).toBeGreaterThan(30);
  expect((await send(dash, { GPU_MEMORY_UTILIZATION: "0.5", args: "" })).body).toMatch(/Saved\.|Nothing was different/);
  expect(await dash.toml()).toBe(text);
  // What an interrupted save left beside the file goes with the next one.
  expect((await kept(dash)).map(([name]) => name).filter((name) => name.includes("services.toml"))).toEqual([]);
});

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const POSTS = ["/parts/settings/vllm", "/parts/settings/vllm/check", "/parts/settings/vllm/paste", "/parts/settings/vllm/use", "/parts/settings/vllm/restore", "/parts/cache/delete", "/parts/images/remove", "/parts/images/prune"];
const hostile: [what: string, headers: Record<string, string>][] = [
  ["a foreign Origin", { origin: "http://evil.example" }],
  ["the Origin null", { origin: "null" }],
  ["an Origin that begins like ours", { origin: "http://127.0.0.1.evil.example" }],
  ["Sec-Fetch-Site: cross-site", { "sec-fetch-site": "cross-site" }],
  ["Sec-Fetch-Site: same-site", { "sec-fetch-site": "same-site" }],
  ["a foreign Host", { host: "evil.example" }],
  ["a Host that begins like ours", { host: "localhost.evil.example:3000" }],
  ["no Host", { host: "" }],
];

test("posts of foreign requests to the parts are refused", async ({ dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const body = new URLSearchParams({ ...(await fieldsOf(dash)), GPU_MEMORY_UTILIZATION: "0.9", confirmed: "1", id: "1", model: "x", command: "vllm serve x" }).toString();
  for (const path of POSTS)
    for (const [how, headers] of hostile)
      for (const part of [{}, { "x-part": "1" }] as Record<string, string>[]) {
        const answer = await dash.ask(path, { method: "POST", headers: { ...FORM, ...headers, ...part }, body });
        expect([400, 403, 421], `${path}, ${how}: ${answer.status}`).toContain(answer.status);
        expect(answer.headers["access-control-allow-origin"], how).toBeUndefined();
      }
  expect(await dash.toml()).toBe(text);
  // The same from our own page is taken.
  expect((await dash.ask(POSTS[0]!, { method: "POST", headers: { ...FORM, origin: dash.url, "sec-fetch-site": "same-origin" }, body })).status).toBe(200);
  expect(await dash.toml()).toContain("0.9 # half");
});

test("a page of another origin cannot post to the parts from a browser, nor read them", async ({ browser, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const fields = { ...(await fieldsOf(dash)), GPU_MEMORY_UTILIZATION: "0.9" };
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}">`).join("");
  const evil = http.createServer((_, answer) => {
    answer.setHeader("content-type", "text/html").end(`<!doctype html><title>evil</title>
      <form id=f method=post target=frame action="${dash.url}/parts/settings/vllm">${inputs}</form>
      <form id=g method=post target=frame enctype="text/plain" action="${dash.url}/parts/settings/vllm">${inputs}</form>
      <form id=h target=frame action="${dash.url}/parts/settings/vllm">${inputs}</form>
      <iframe name=frame></iframe>
      <script>
        const url = ${JSON.stringify(dash.url)}, body = new URLSearchParams(${JSON.stringify(fields)});
        window.attack = async () => {
          for (const id of ["f", "g", "h"]) { document.getElementById(id).submit(); await new Promise((r) => setTimeout(r, 400)); }
          const out = [];
          for (const headers of [{}, { "x-part": "1" }])
            out.push(await fetch(url + "/parts/settings/vllm", { method: "POST", headers, body }).then((a) => a.text(), () => "refused"));
          await fetch(url + "/parts/settings/vllm", { method: "POST", mode: "no-cors", body }).catch(() => "");
          for (const path of ["/parts/settings/vllm", "/parts/images"]) out.push(await fetch(url + path).then((a) => a.text(), () => "refused"));
          navigator.sendBeacon(url + "/parts/settings/vllm", body);
          await new Promise((r) => setTimeout(r, 400));
          return out;
        };
      </script>`);
  });
  await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
  const { port } = evil.address() as import("node:net").AddressInfo;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://localhost:${port}/`);
  expect(await page.evaluate(() => (window as unknown as { attack: () => Promise<string[]> }).attack())).toEqual(["refused", "refused", "refused", "refused"]);
  expect(await dash.toml()).toBe(text);
  await context.close();
  evil.close();
});

const imageIds = async () => [...new Set((await docker("images", "-q")).split("\n"))].sort();

test("no GET, HEAD, PUT or DELETE of a posting address changes anything", async ({ dashboard }) => {
  const { dash, text } = await filed(dashboard);
  const query = new URLSearchParams({ ...(await fieldsOf(dash)), GPU_MEMORY_UTILIZATION: "0.9", confirmed: "1", id: "1", model: "x", command: "vllm serve x" }).toString();
  const images = await imageIds();
  for (const path of POSTS)
    for (const method of ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const answer = await dash.ask(`${path}?${query}`, { method, headers: { ...FORM, "x-part": "1" }, ...(["GET", "HEAD"].includes(method) ? {} : { body: query }) });
      expect(answer.status, `${method} ${path}`).toBeLessThan(500);
      if (method !== "GET" && method !== "HEAD") expect([400, 404, 405], `${method} ${path}`).toContain(answer.status);
      expect(answer.body, `${method} ${path}`).not.toContain("Saved.");
    }
  expect(await dash.toml()).toBe(text);
  expect(await imageIds()).toEqual(images);
  await expect(dash.service()).resolves.toMatchObject({ state: { state: "stopped" } });
});

test("what settings say is text on the page, never markup", async ({ page, dashboard }) => {
  const { dash } = await filed(dashboard);
  const nasty = `"><img src=x onerror="document.title='owned'"></textarea><script>document.title='owned'</script>`;
  await send(dash, { VLLM_MODEL_NAME: nasty, args: `--chat-template '${nasty.replaceAll("'", "")}'` });
  await open(page, dash.url);
  const form = page.getByRole("form", { name: "Configuration" });
  await expect(form.getByLabel("VLLM_MODEL_NAME", { exact: true })).toHaveValue(nasty);
  // What is refused is named on the page, too.
  await form.getByLabel("VLLM_MODEL", { exact: true }).fill(nasty);
  await expect(form).toContainText("neither a Hugging Face repository");
  await expect(form).toContainText("<img src=x");
  await page.reload();
  await form.getByLabel("GPU_MEMORY_UTILIZATION", { exact: true }).fill("0.3");
  await expect(form.getByRole("group", { name: "The exact command" })).toContainText("<img src=x");
  await send(dash, { command: `docker run --label '${nasty.replaceAll("'", "")}' -v '${nasty.replaceAll("'", "")}:/x' vllm/vllm-openai --model x` }, { raw: true, at: "/paste" });
  await page.goto(`${dash.url}/services/vllm`);
  await expect(page).not.toHaveTitle("owned");
  expect(await page.locator("main img").count()).toBe(0);
});

test("the form does not point the dashboard at a metadata service", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const { dash, text } = await filed(dashboard);
  await open(page, dash.url);
  const form = page.getByRole("form", { name: "Configuration" });
  for (const address of ["http://169.254.169.254/latest", "http://metadata.google.internal", "http://[fe80::1]:80", "http://100.100.100.200"]) {
    await form.getByLabel("VLLM_API_URL", { exact: true }).fill(address);
    await form.getByRole("button", { name: "Save", exact: true }).click();
    await expect(form, address).toContainText("never a link-local address or a metadata service");
    expect(await dash.toml(), address).toBe(text);
    await page.reload();
  }
});
