// A pull as large as one shows anything of a real one: layers of hundreds of MB, and the registry that everybody runs.
import { docker, registry as real } from "../harness/docker.ts";
import { makeImage, Registry } from "../harness/registry.ts";
import { expect, open, test } from "./fixtures.ts";

const MB = 1_000_000;

test("three layers of 150 MB come in at the pace of the wire, each byte counted once", async ({ page, dashboard }) => {
  test.slow();
  const source = await Registry.start();
  const image = makeImage({ seed: "large", layers: [150 * MB, 150 * MB, 150 * MB] });
  const name = source.put("vllm/large:latest", image);
  source.bytesPerSecond = 60 * MB;
  try {
    const dash = await dashboard({ image: name });
    const card = await open(page, dash.url);
    await card.button("Pull image").click();
    const bar = card.article.getByRole("progressbar", { name: "Pull" });
    await expect(bar).toBeVisible();
    await expect(card.article.locator(".pull-line")).toContainText(/of 42\d MiB · .*MiB\/s · about \d+ s left/, { timeout: 20_000 });
    // Never back, never beyond the whole.
    let last = 0;
    while (await bar.isVisible()) {
      const images = JSON.parse((await dash.ask("/api/images")).body) as { reference: string; pull: { done_bytes: number; total_bytes: number } | null }[];
      const pull = images.find((i) => i.reference === name)?.pull;
      expect(pull?.done_bytes).toBeGreaterThanOrEqual(last);
      if (pull && pull.total_bytes > 0) expect(pull.done_bytes).toBeLessThanOrEqual(pull.total_bytes);
      last = pull?.done_bytes ?? last;
      await page.waitForTimeout(200);
    }
    await expect(card.article).toContainText("Pulled: a new image is here", { timeout: 60_000 });
    expect(last).toBeGreaterThan(400 * MB);
    await docker("rmi", "-f", image.id);
  } finally {
    await source.down();
  }
});

test("from the registry that everybody runs: pulled, found to be the newest, and started", async ({ page, dashboard }) => {
  const name = `${real}/vllm/vllm-openai:latest`;
  await docker("rmi", name).catch(() => "");
  const dash = await dashboard({ image: name });
  const card = await open(page, dash.url);
  await card.button("Pull image").click();
  await expect(card.article).toContainText("Pulled", { timeout: 30_000 });
  await card.button("Check for a newer image").click();
  await expect(card.article).toContainText("The image is the newest");
  await card.button("Start").click();
  await card.shows("Running");
  await dash.command("stop");
  await dash.state("stopped");
});
