import { inspect } from "../harness/docker.ts";
import { INSTANT } from "../harness/dashboard.ts";
import { sleep, until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

const numbers = (text: string) => [...text.matchAll(/flood n=(\d+)/g)].map(([, n]) => Number(n));
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`a dashboard ended by ${signal} finds everything as it was, the log continued exactly once`, async ({ dashboard }) => {
    const dash = await dashboard({ image: INSTANT });
    await dash.running();
    await dash.sim.flood(500);
    const stream = await dash.stream();
    await stream.until("the first flood", 20_000, () => stream.lines().length >= 500 || undefined);
    // What is shown has been kept when it is ended in order; a kill may come between two writes.
    await sleep(1_500);
    const before = await dash.service();
    const seen = stream.lines();
    stream.close();

    const code = await dash.down(signal);
    if (signal === "SIGTERM") expect(code).toBe(0);
    await dash.sim.flood(500);
    expect((await inspect(dash.container))?.State.Running).toBe(true);

    await dash.up();
    const after = await dash.service();
    expect(after.state, "restored before the first answer").toMatchObject({ state: "running" });
    expect(after).toMatchObject({
      run: before.run,
      started: before.started,
      model: before.model,
      api_url: before.api_url,
      wish: before.wish,
      container: before.container,
    });

    const again = await dash.stream(`?logs=vllm&after=${before.run}.0`);
    const total = () => again.lines().filter(({ line }) => line[5].includes("flood n=")).length;
    await again.until("both floods", 20_000, () => total() >= 1000 || undefined);
    await sleep(500);
    const lines = again.lines();
    expect(lines.map(({ line }) => line[0])).toEqual(upTo(lines.length));
    expect(new Set(lines.map(({ run }) => run))).toEqual(new Set([before.run]));
    expect(numbers(lines.map(({ line }) => line[5]).join("\n")).sort((a, b) => a - b)).toEqual(
      [...upTo(500), ...upTo(500)].sort((a, b) => a - b),
    );
    // A number never changes its line.
    for (const { line } of seen) expect(lines[line[0] - 1]?.line[5]).toBe(line[5]);
    again.close();
  });
}

test("a dashboard that ends says goodbye to open streams, and soon", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  const streams = await Promise.all([dash.stream(), dash.stream(""), dash.stream()]);
  for (const stream of streams) await stream.next("snapshot");
  const begin = Date.now();
  expect(await dash.down("SIGTERM")).toBe(0);
  expect(Date.now() - begin).toBeLessThan(5_000);
  for (const stream of streams) expect(stream.all("bye")).toEqual([{ reason: "shutdown" }]);
});

test("the page finds the dashboard again by itself, without a reload", async ({ page, dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));

  await dash.down("SIGKILL");
  await dash.sim.write("stdout", "INFO 11-22 12:00:00 [api.py:1] written-while-away\n");
  await dash.up();
  await card.logShows("written-while-away", 40_000);
  await card.shows("Running");
  expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
});

test("a stop while the dashboard was away is seen when it is back", async ({ dashboard }) => {
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.down("SIGKILL");
  await dash.sim.exit(0);
  await until("the container to end", 10_000, async () => (await inspect(dash.container))?.State.Running === false);
  await dash.up();
  const service = await dash.service();
  expect(["stopped", "failed"]).toContain(service.state.state);
});
