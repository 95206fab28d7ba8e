// A failure that explains itself: the cause, the lines that prove it, and one click that makes the change and starts again.
import { createServer } from "node:http";
import { INSTANT } from "../harness/dashboard.ts";
import { docker } from "../harness/docker.ts";
import { until } from "../harness/net.ts";
import { expect, open, test, type Card } from "./fixtures.ts";
import type { Dashboard } from "../harness/dashboard.ts";

const toml = (...args: string[]) => `# mine\n[[service]]\nname = "vllm" # the one\nargs = ${JSON.stringify(args)}\n`;

async function fails(card: Card, dash: Dashboard, cause: string) {
  await card.button("Start").click();
  await card.shows("Failed", 45_000);
  await expect.poll(async () => (await dash.service()).state.failure?.diagnosis?.cause, { timeout: 10_000 }).toBe(cause);
  return (await dash.service()).state.failure!.diagnosis!;
}

/** Causes that settings can mend: the arguments that bring them about, what the card says, and the button that helps. */
const mended = [
  {
    cause: "unknown-argument",
    args: ["--no-such-flag", "1"],
    says: "This vLLM does not know the argument: --no-such-flag",
    button: "Leave out --no-such-flag and start",
    after: /args = \[\]/,
  },
  {
    cause: "max-length-too-large",
    args: ["--max-model-len", "100000"],
    says: "The model takes at most 32,768 tokens; 100,000 were asked for",
    button: "Set --max-model-len to 32768 and start",
    after: /args = \["--max-model-len", "32768"\]/,
  },
  {
    cause: "invalid-value",
    args: ["--gpu-memory-utilization", "1.5"],
    says: "--gpu-memory-utilization has a value that is not allowed: 1.5 (",
    button: "Set GPU_MEMORY_UTILIZATION to 0.9 and start",
    after: /"--gpu-memory-utilization", "0.9"/,
  },
  {
    cause: "kv-cache-too-small",
    args: ["--gpu-memory-utilization", "0.14"],
    says: /The KV cache cannot hold a request of 32,768 tokens; [0-9,]+ fit/,
    button: /^Set --max-model-len to \d+ and start$/,
    after: /"--max-model-len", "\d+"/,
  },
  {
    cause: "adapter-missing",
    args: ["--enable-lora", "--lora-modules", "mine=/nonexistent/lora"],
    says: "The LoRA adapter cannot be loaded",
    button: "Leave out --lora-modules and start",
    after: /args = \["--enable-lora"\]/,
  },
  {
    cause: "memory-held-by-others",
    args: ["--sim-fail", "gpu-memory-held"],
    says: "Others hold the GPU's memory",
    button: /^Set GPU_MEMORY_UTILIZATION to 0\.1\d and start$/,
    after: /gpu_memory_utilization = 0\.1\d/,
    more: ["--max-model-len", "16"],
  },
];

for (const { cause, args, says, button, after, more = [] } of mended)
  test(`${cause} is explained, and one click mends it and starts again`, async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT, toml: toml(...args, ...more) });
    const card = await open(page, dash.url);
    const found = await fails(card, dash, cause);
    expect(found.evidence.length).toBeGreaterThan(0);
    await expect(card.article).toContainText(says);
    await expect(card.article.getByRole("group", { name: "The lines that show it" })).toContainText(found.evidence[0]!.text.slice(0, 60));
    await card.article.getByRole("button", { name: button }).click();
    const text = await until("the file", 5_000, async () => {
      const now = await dash.toml();
      return after.test(now) && now;
    });
    expect(text).toContain("# mine\n[[service]]\nname = \"vllm\" # the one");
    // Its memory is held as before: whether it fits now is the engine's matter.
    if (cause === "memory-held-by-others") await expect(card.status).toContainText(/Starting|Running/);
    else await card.shows("Running", 45_000);
  });

/** Causes that only the owner can mend: what the card says and advises. */
const told = [
  { cause: "access-denied", args: ["--sim-fail", "gated-model"], advice: "HF_TOKEN" },
  { cause: "hub-unreachable", args: ["--sim-fail", "bad-repo-id"], advice: "Check the network" },
  { cause: "model-not-found", args: ["--model", "/nonexistent/model"], advice: "VLLM_MODEL" },
  { cause: "weights-corrupt", args: ["--sim-fail", "corrupt-weights"], advice: "downloaded again" },
  { cause: "architecture-unsupported", args: ["--sim-fail", "bad-arch"], advice: "newer vLLM" },
  { cause: "does-not-fit", args: ["--sim-fail", "cuda-oom"], advice: "smaller" },
  { cause: "no-gpu", args: ["--sim-fail", "no-gpu"], advice: "nvidia-smi" },
  { cause: "driver-too-old", args: ["--sim-fail", "driver-too-old"], advice: "Update the GPU's driver" },
];

for (const { cause, args, advice } of told)
  test(`${cause} is explained with its lines and an advice`, async ({ page, dashboard }) => {
    const dash = await dashboard({ image: INSTANT, toml: toml(...args) });
    const card = await open(page, dash.url);
    const found = await fails(card, dash, cause);
    expect(found.evidence.length).toBeGreaterThan(0);
    await expect(card.article.locator(".remedies")).toContainText(advice);
    await expect(card.article).toContainText("It ended with exit code");
  });

test("a port that somebody else holds is named, and a free one is offered", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT, env: { VLLM_API_URL: "" }, toml: "" });
  const other = createServer((_, answer) => answer.end("hello")).listen(0, "127.0.0.1");
  await new Promise((up) => other.once("listening", up));
  const port = (other.address() as { port: number }).port;
  await dash.down();
  const { writeFile } = await import("node:fs/promises");
  await writeFile(`${dash.folder}/state/services.toml`, `[[service]]\nname = "vllm"\napi_url = "http://127.0.0.1:${port}"\n`);
  await dash.up();
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await card.shows("Failed");
  await expect(card.article).toContainText(`Port ${port} is taken by`);
  await card.article.getByRole("button", { name: /^Set VLLM_API_URL to http:\/\/127\.0\.0\.1:\d+ and start$/ }).click();
  await card.shows("Running", 45_000);
  other.close();
});

test("an engine that dies while it serves failed, although the exit code is 0", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await dash.sim.fatal();
  await card.shows("Failed", 30_000);
  await expect(card.article).toContainText("vLLM's engine process died");
  expect((await dash.service()).state.failure?.diagnosis?.cause).toBe("engine-died");
});

test("a kill from outside is called one, and no line of the log is blamed", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await docker("kill", dash.container);
  await card.shows("Failed");
  await expect.poll(async () => (await dash.service()).state.failure?.diagnosis?.cause).toBe("killed");
});

test("a requested stop with requests under way raises no alarm", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.sim.write("stderr", "ERROR 11-22 12:00:00 [async_llm.py:704] AsyncLLM output_handler failed.\n");
  const card = await open(page, dash.url);
  await card.button("Stop").click();
  await card.shows("Stopped", 45_000);
  await expect(card.article.locator(".remedies")).toHaveCount(0);
});

test("a failure while the dashboard was away is found in the log", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const sim = dash.sim;
  await dash.down("SIGKILL");
  await sim.fatal();
  await until("the end", 20_000, async () => (await docker("inspect", "--format", "{{.State.Running}}", dash.container)) === "false");
  await dash.up();
  const card = await open(page, dash.url);
  await card.shows("Failed");
  await expect(card.article).toContainText("vLLM's engine process died");
});

test("a value that the environment sets is not offered for a click", async ({ page, dashboard }) => {
  const dash = await dashboard({
    image: INSTANT,
    env: { GPU_MEMORY_UTILIZATION: "0.9" },
    toml: toml("--sim-fail", "gpu-memory-held"),
  });
  const card = await open(page, dash.url);
  await fails(card, dash, "memory-held-by-others");
  await expect(card.article.getByRole("button", { name: /GPU_MEMORY_UTILIZATION/ })).toHaveCount(0);
  await expect(card.article.locator(".remedies")).toContainText("smaller share");
});

test("a remedy of a failure that is over is refused", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT, toml: toml("--no-such-flag", "1") });
  const apply = (cause: string, remedy: number) =>
    dash.ask("/api/fn/remedy", {
      method: "POST",
      body: `service=vllm&cause=${cause}&remedy=${remedy}`,
      headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
    });
  expect((await apply("unknown-argument", 0)).body).toContain("stale");
  await dash.command("start");
  await dash.state("failed");
  await until("the cause", 10_000, async () => (await dash.service()).state.failure?.diagnosis?.cause === "unknown-argument");
  for (const [cause, remedy] of [["killed", 0], ["unknown-argument", 99]] as const) expect((await apply(cause, remedy)).body).toContain("stale");
  expect(await dash.toml()).toContain("--no-such-flag");
});
