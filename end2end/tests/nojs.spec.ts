import { INSTANT } from "../harness/dashboard.ts";
import { Card, expect, test } from "./fixtures.ts";

test.use({ javaScriptEnabled: false });

test("the buttons work without JavaScript", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await page.goto(dash.url);
  const card = new Card(page);
  await card.shows("Stopped");

  await card.button("Start").click();
  await expect(page).toHaveURL(/:\d+\/\??$/);
  await dash.state("running");
  await page.reload();
  await card.shows("Running");
  await expect(card.value("Model")).toHaveText("lydia");
  await card.logShows("Application startup complete");

  const before = (await dash.service()).started;
  await card.button("Restart").click();
  // The start before still runs when the command is taken.
  await expect.poll(async () => (await dash.service()).started).not.toBe(before);
  await dash.state("running");

  await page.goto(`${dash.url}/services/vllm`);
  await card.button("Stop").click();
  await expect(page).toHaveURL(/\/services\/vllm\??$/);
  await dash.state("stopped");
  await page.reload();
  await card.shows("Stopped");
});

test("a refusal is said without JavaScript, too", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const dash = await dashboard({ env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } });
  await page.goto(dash.url);
  const card = new Card(page);
  await card.shows("Unreachable");
  await expect(card.article).toContainText("/nonexistent/docker.sock");
});

test("an unknown service is a page with status 404", { tag: "@no-engine" }, async ({ page, dashboard }) => {
  const dash = await dashboard();
  expect((await page.goto(`${dash.url}/services/nobody`))?.status()).toBe(404);
  expect((await page.goto(`${dash.url}/nothing/here`))?.status()).toBe(404);
});
