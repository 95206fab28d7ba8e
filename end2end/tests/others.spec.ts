// Services that are not vLLM: containers, processes and units of systemd, each as the owner lists it.
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { INSTANT } from "../harness/dashboard.ts";
import { docker, inspect, removeContainer, unique } from "../harness/docker.ts";
import { freePort } from "../harness/net.ts";
import { Systemd } from "../harness/systemd.ts";
import { Card, expect, test } from "./fixtures.ts";

/** A container that lives until it is asked to end, and says so. */
async function theirs(name: string, ...more: string[]) {
  await docker("run", "-d", "--name", name, ...more, INSTANT, "--model", "x", "--served-model-name", "theirs", "--port", "8000");
}

const card = async (page: Page, url: string, title: string) => {
  const stream = page.waitForRequest((request) => new URL(request.url()).pathname === "/api/stream");
  await page.goto(url);
  await stream;
  const found = new Card(page, title);
  await expect(found.article).toBeVisible();
  return found;
};

test("a listed container has the same card, controls and logs, and is never made anew", async ({ page, dashboard }) => {
  const name = unique("redis");
  await theirs(name);
  const before = await inspect(name);
  const dash = await dashboard({ toml: `[[service]]\nname = "vllm"\n[[service]]\nname = "cache"\ntitle = "Cache"\nkind = "container"\ncontainer = "${name}"\n` });
  const it = await card(page, dash.url, "Cache");
  await it.shows("Running");
  await expect(it.article.locator("dt", { hasText: "Model" })).toHaveCount(0);
  await expect(it.article.getByRole("link", { name: "Container logs" })).toBeVisible();

  await it.button("Stop").click();
  await it.shows("Stopped");
  await it.button("Start").click();
  await it.shows("Running");
  const started = (await inspect(name))?.State.StartedAt;
  await it.button("Restart").click();
  await expect.poll(async () => (await inspect(name))?.State.StartedAt).not.toBe(started);
  await it.shows("Running");
  const after = await inspect(name);
  expect([after?.Id, after?.Config.Cmd, after?.HostConfig.RestartPolicy.Name]).toEqual([before?.Id, before?.Config.Cmd, before?.HostConfig.RestartPolicy.Name]);

  await page.goto(`${dash.url}/services/cache`);
  await new Card(page, "Cache").logShows(/Route: |Application startup complete/);
  await removeContainer(name);
});

test("a listed container that is not there is said to be missing, and Start makes none", async ({ page, dashboard }) => {
  const name = unique("gone");
  const dash = await dashboard({ toml: `[[service]]\nname = "gone"\ntitle = "Gone"\nkind = "container"\ncontainer = "${name}"\n` });
  const it = await card(page, dash.url, "Gone");
  await expect(it.article).toContainText("There is no such container");
  await it.button("Start").click();
  await it.shows("Failed");
  await expect(it.article).toContainText(`${name} is not there`);
  expect(await inspect(name)).toBeUndefined();
});

test("all containers with a label become services, come and go with it, and nothing else is touched", async ({ page, dashboard }) => {
  const [first, second, other] = [unique("one"), unique("two"), unique("other")];
  const label = `test.services=${first}`;
  await theirs(first, "--label", label);
  await theirs(other);
  const dash = await dashboard({ toml: `[[service]]\nname = "vllm"\n[[service]]\nname = "mine"\nkind = "container"\nlabel = "${label}"\n` });
  await page.goto(dash.url);
  await new Card(page, first).shows("Running");
  await expect(page.getByRole("article", { name: other, exact: true })).toHaveCount(0);
  await theirs(second, "--label", label);
  await new Card(page, second).shows("Running");
  await removeContainer(first);
  await expect(page.getByRole("article", { name: first, exact: true })).toHaveCount(0);
  await new Card(page, second).shows("Running");
  await removeContainer(second);
  await removeContainer(other);
});

test("a process is Running only while its health check by HTTP succeeds, and says why it does not", async ({ page, dashboard }) => {
  let healthy = false;
  const health = createServer((_, response) => response.writeHead(healthy ? 200 : 503).end());
  health.listen(0, "127.0.0.1");
  await once(health, "listening");
  const port = (health.address() as AddressInfo).port;
  const dash = await dashboard({
    toml: `[[service]]\nname = "proxy"\ntitle = "Proxy"\nkind = "process"\ncommand = ["sh", "-c", "echo it is up; exec sleep 600"]\nhealth = "http://127.0.0.1:${port}/health"\n`,
  });
  const it = await card(page, dash.url, "Proxy");
  await it.button("Start").click();
  await it.shows("Starting");
  await expect(it.article).toContainText("answers with status 503");
  healthy = true;
  await it.shows("Running");
  await it.logShows("it is up");
  healthy = false;
  await it.shows("Unresponsive", 40_000);
  await expect(it.article).toContainText("answers with status 503");
  await it.button("Stop").click();
  await it.shows("Stopped", 40_000);
  health.close();
});

test("health checks by TCP and by a command's exit code", async ({ page, dashboard }) => {
  const port = await freePort();
  const dash = await dashboard({
    toml:
      `[[service]]\nname = "tcp"\ntitle = "Tcp"\nkind = "process"\ncommand = ["sleep", "600"]\nhealth = "tcp://127.0.0.1:${port}"\n` +
      `[[service]]\nname = "cmd"\ntitle = "Cmd"\nkind = "process"\ncommand = ["sleep", "600"]\nhealth = ["sh", "-c", "echo not yet; exit 3"]\n`,
  });
  const tcp = await card(page, dash.url, "Tcp");
  const cmd = new Card(page, "Cmd");
  await tcp.button("Start").click();
  await cmd.button("Start").click();
  await expect(tcp.article).toContainText("nobody listens there");
  await expect(cmd.article).toContainText("the command exited with 3: not yet");
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  await tcp.shows("Running");
  await cmd.shows("Starting");
  for (const it of [tcp, cmd]) {
    await it.button("Stop").click();
    await it.shows("Stopped", 40_000);
  }
  server.close();
});

test("a process that ends by itself is Failed, and Auto-start starts it again", async ({ page, dashboard }) => {
  const dash = await dashboard({ toml: `[[service]]\nname = "brief"\ntitle = "Brief"\nkind = "process"\ncommand = ["sh", "-c", "echo once more; sleep 1; exit 7"]\nrestart_budget = 2\n` });
  const it = await card(page, dash.url, "Brief");
  await it.article.getByRole("switch", { name: "Auto-start" }).click();
  await it.button("Start").click();
  await expect(it.article).toContainText("starts again by itself");
  await expect(it.article).toContainText("failed 2 times within 10 min", { timeout: 20_000 });
  await it.shows("Failed");
});

test("a unit of systemd: state, start, stop, restart, logs, and its enablement as Auto-start", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const systemd = await Systemd.start(
    {
      web: "[Service]\nExecStart=FOLDER/web\n[Install]\nWantedBy=multi-user.target\n",
      "web-broken": "[Service]\nExecStart=/nowhere/program\n",
    },
    { web: "echo unit speaks; exec sleep 600" },
  );
  try {
    const dash = await dashboard({
      env: systemd.env,
      toml: `[[service]]\nname = "web"\ntitle = "Web"\nkind = "systemd"\nunit = "web.service"\n[[service]]\nname = "broken"\ntitle = "Broken"\nkind = "systemd"\nunit = "web-broken"\n[[service]]\nname = "absent"\ntitle = "Absent"\nkind = "systemd"\nunit = "absent"\n`,
    });
    const web = await card(page, dash.url, "Web");
    await web.shows("Stopped");
    await web.button("Start").click();
    await web.shows("Running");
    await web.logShows("unit speaks");
    const auto = web.article.getByRole("switch", { name: "Auto-start" });
    await expect(auto).toHaveAttribute("aria-checked", "false");
    await auto.click();
    await expect(auto).toHaveAttribute("aria-checked", "true");

    const before = (await dash.service("web")).started;
    await web.button("Restart").click();
    await expect.poll(async () => (await dash.service("web")).started).not.toBe(before);
    await web.shows("Running");
    await web.button("Stop").click();
    await web.shows("Stopped");

    const broken = new Card(page, "Broken");
    await broken.button("Start").click();
    await broken.shows("Failed");
    const absent = new Card(page, "Absent");
    await expect(absent.article).toContainText("systemd knows no such unit");

    // What it was is found again.
    await web.button("Start").click();
    await web.shows("Running");
    await dash.down("SIGKILL");
    await dash.up();
    await expect.poll(async () => (await dash.service("web")).state.state).toBe("running");
    await expect.poll(async () => (await dash.service("web") as unknown as { auto_start: boolean }).auto_start).toBe(true);
  } finally {
    await systemd.stop();
  }
});

test("two services of vLLM cannot be started on one port", async ({ page, dashboard }) => {
  const dash = await dashboard({
    toml: `[[service]]\nname = "vllm"\n[[service]]\nname = "twin"\ntitle = "Twin"\nmodel = "x"\nimage = "${INSTANT}"\ncontainer = "${unique("twin")}"\napi_url = "http://localhost:1"\n`,
    env: {},
  });
  await writeFile(
    join(dash.folder, "state/services.toml"),
    `[[service]]\nname = "vllm"\n[[service]]\nname = "twin"\ntitle = "Twin"\nmodel = "x"\nimage = "${INSTANT}"\ncontainer = "${unique("twin")}"\napi_url = "http://localhost:${dash.enginePort}"\n`,
  );
  await chmod(join(dash.folder, "state/services.toml"), 0o600);
  await dash.down("SIGKILL");
  await dash.up();
  await dash.running();
  const twin = await card(page, dash.url, "Twin");
  await twin.button("Start").click();
  await expect(twin.article.getByRole("alert")).toContainText(`Port ${dash.enginePort} belongs to vLLM`);
  await twin.shows("Stopped");
});

test("links to the neighbouring pages are in the header when they are configured", async ({ page, dashboard }) => {
  const dash = await dashboard({ toml: `[links]\nChat = "http://127.0.0.1:9/chat"\nLLM = "/elsewhere"\n` });
  await page.goto(dash.url);
  const links = page.getByRole("navigation", { name: "Neighbouring pages" }).getByRole("link");
  await expect(links).toHaveText(["Chat", "LLM"]);
  await expect(links.first()).toHaveAttribute("href", "http://127.0.0.1:9/chat");
});
