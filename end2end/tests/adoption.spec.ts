// Containers that were there before the dashboard.
import { docker, inspect, unique } from "../harness/docker.ts";
import { INSTANT } from "../harness/dashboard.ts";
import { freePort } from "../harness/net.ts";
import { Sim } from "../harness/sim.ts";
import { expect, open, test } from "./fixtures.ts";

const VLLM = ["--model", "Qwen/Qwen2.5-7B-Instruct", "--served-model-name", "theirs", "--port", "8000"];

/** A container as its owner would have made it by hand. */
async function theirs(name: string, ...more: string[]) {
  const port = await freePort();
  const id = await docker("run", "-d", "--name", name, "-p", `127.0.0.1:${port}:8000`, ...more, INSTANT, ...VLLM);
  await new Sim(`http://127.0.0.1:${port}`).healthy();
  return { id, port };
}

test("a container that exists is adopted as it is and probed where it really publishes", async ({ page, dashboard }) => {
  const name = unique("theirs");
  const { id, port } = await theirs(name, "--restart", "on-failure:2");
  // VLLM_API_URL is not set: the default is another port.
  const dash = await dashboard({ env: { VLLM_CONTAINER: name, VLLM_API_URL: "" } });
  const card = await open(page, dash.url);
  await card.shows("Running");
  await expect(card.value("Model")).toHaveText("theirs");
  const service = await dash.service();
  expect(service.api_url).toContain(`:${port}`);
  expect(service.container).toMatchObject({ name, adopted: true, restart_policy: "on-failure", auto_remove: false });
  expect(id.startsWith(service.container?.id ?? "?")).toBe(true);
  await card.logShows(/Route: |Application startup complete/);
  const before = await inspect(name);

  await card.button("Restart").click();
  await expect.poll(async () => (await dash.service()).run, { timeout: 30_000 }).not.toBe(service.run);
  await card.shows("Running");
  await card.button("Stop").click();
  await card.shows("Stopped");
  await card.button("Start").click();
  await card.shows("Running");
  const after = await inspect(name);
  expect(after?.Id, "never recreated").toBe(id);
  expect(after?.Config.Cmd).toEqual(before?.Config.Cmd);
  expect(after?.HostConfig.RestartPolicy).toEqual(before?.HostConfig.RestartPolicy);
});

test("unlisted containers of a vLLM image are offered, and adopted by a button", async ({ page, dashboard }) => {
  const name = unique("unlisted");
  const { id } = await theirs(name);
  const dash = await dashboard({ image: INSTANT });
  dash.owns(name);
  const card = await open(page, dash.url);
  await card.shows("Stopped");
  await expect(page.getByText(name).first()).toBeVisible();
  const loadedAgain = page.waitForRequest((request) => new URL(request.url()).pathname === "/api/stream");
  await page.getByRole("listitem").filter({ hasText: name }).getByRole("button", { name: "Adopt" }).click();
  await loadedAgain;
  await expect.poll(async () => (JSON.parse((await dash.ask("/api/services")).body) as { container: { name: string } | null }[]).map((one) => one.container?.name), { timeout: 20_000 }).toContain(name);
  expect((await inspect(name))?.Id).toBe(id);

  // It is still ours after a restart of the dashboard.
  await dash.down();
  await dash.up();
  const all = JSON.parse((await dash.ask("/api/services")).body) as { container: { name: string } | null }[];
  expect(all.map((one) => one.container?.name)).toContain(name);
});

test("a stop of a container that removes itself is warned about first", async ({ page, dashboard }) => {
  const name = unique("fleeting");
  const { port } = await theirs(name, "--rm");
  const dash = await dashboard({ env: { VLLM_CONTAINER: name, VLLM_API_URL: "" } });
  const card = await open(page, dash.url);
  await card.shows("Running");
  await expect(card.article).toContainText(/--rm|removes? itself|removed/i);
  expect((await dash.service()).container?.auto_remove).toBe(true);
  await dash.command("stop");
  await card.shows("Stopped");
  expect(await inspect(name)).toBeUndefined();
  expect(port).toBeGreaterThan(0);

  // What is needed to create it again was kept.
  await card.button("Start").click();
  await card.shows("Running");
  await expect(card.value("Model")).toHaveText("theirs");
});

test("something else on the port is named", async ({ page, dashboard }) => {
  const http = await import("node:http");
  const dash = await dashboard({ image: INSTANT });
  const ollama = http.createServer((request, answer) => {
    if (request.url === "/api/version") answer.setHeader("content-type", "application/json").end('{"version":"0.9.6"}');
    else answer.writeHead(404).end("404 page not found");
  });
  await new Promise<void>((resolve) => ollama.listen(dash.enginePort, "127.0.0.1", resolve));
  const card = await open(page, dash.url);
  await card.button("Start").click();
  await expect(card.article).toContainText("Ollama", { timeout: 20_000 });
  await card.shows("Failed");
  ollama.close();
});

test("a container that is removed from outside is Stopped, and Start makes it again", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await dash.command("stop");
  await card.shows("Stopped");
  await docker("rm", dash.container);
  await card.shows("Stopped");
  await card.button("Start").click();
  await card.shows("Running");
});
