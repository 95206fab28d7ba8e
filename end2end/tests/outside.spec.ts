// What others do to a container of ours: they remove it, rename it, put another in its place, or let it run out of memory. What
// the page says is true, no line is doubled, and the next start works or says why not.
import { INSTANT, SLOW, type Dashboard } from "../harness/dashboard.ts";
import { docker, inspect, unique } from "../harness/docker.ts";
import { fill } from "../harness/faults.ts";
import { sleep, until } from "../harness/net.ts";
import { expect, open, test } from "./fixtures.ts";

const running = (id: string) => docker("inspect", "-f", "{{.State.Running}}", id).catch(() => "gone");

/** Every line of a run is there once. */
async function once(dash: Dashboard, run: number, floods: number) {
  const lines = async () => {
    const answer = await dash.ask(`/api/services/vllm/logs?after=${run}.0&limit=100000`, { timeout: 20_000 });
    return answer.body.trim().split("\n").map((line) => JSON.parse(line) as [number, string, string, string, string, string]);
  };
  const flooded = (all: Awaited<ReturnType<typeof lines>>) => all.filter(([, , , , , text]) => text.includes("flood n="));
  await until("the lines", 20_000, async () => flooded(await lines()).length >= floods);
  await sleep(300);
  const all = await lines();
  expect(all.map(([seq]) => seq)).toEqual(all.map((_, at) => at + 1));
  expect(flooded(all)).toHaveLength(floods);
}

test("renamed while it runs: it is still the same service, under the same run; stopped, it is gone and made anew", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  const { run } = await dash.running();
  await dash.sim.flood(300);
  const card = await open(page, dash.url);
  const aside = dash.owns(unique("aside"));
  await docker("rename", dash.container, aside);
  await dash.sim.flood(300);
  await sleep(500);
  await card.shows("Running");
  expect(await dash.service()).toMatchObject({ run, state: { state: "running" } });
  await once(dash, run ?? 0, 600);

  await dash.command("stop");
  await dash.state("stopped");
  expect(await running(aside)).toBe("false");
  const next = await dash.running();
  expect(next.run).toBeGreaterThan(run ?? 0);
  expect((await inspect(dash.container))?.State.Running, "one with its name").toBe(true);
  expect(await running(aside), "the other was left alone").toBe("false");
  await once(dash, next.run ?? 0, 0);
});

test("renamed while it starts and while it is stopped: the next start works", async ({ dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: SLOW });
  await dash.command("start");
  await dash.state("starting");
  await until("the container", 20_000, async () => (await running(dash.container)) === "true");
  const first = dash.owns(unique("aside"));
  await docker("rename", dash.container, first);
  await sleep(500);
  expect((await dash.service()).state.state).toMatch(/starting|running/);
  await dash.command("stop");
  await dash.state("stopped");
  expect(await running(first)).toBe("false");

  await dash.command("start");
  await until("the next one", 20_000, async () => (await running(dash.container)) === "true");
  await dash.command("stop");
  await dash.state("stopped");
  const second = dash.owns(unique("aside"));
  await docker("rename", dash.container, second);
  await sleep(500);
  expect((await dash.service()).state.state).toBe("stopped");
  await dash.command("start");
  await until("one more", 20_000, async () => (await running(dash.container)) === "true");
  expect([await running(first), await running(second)]).toEqual(["false", "false"]);
});

for (const when of ["starting", "running"] as const)
  test(`removed while it is ${when}: failed or stopped, never running; the next start works`, async ({ dashboard }) => {
    test.slow();
    const dash = await dashboard({ image: when === "starting" ? SLOW : INSTANT });
    await dash.command("start");
    await dash.state(when);
    await until("the container", 20_000, async () => (await running(dash.container)) === "true");
    await docker("rm", "-f", dash.container);
    await dash.state("stopped", "failed");
    expect(await running(dash.container)).toBe("gone");
    await dash.command("start");
    await dash.state("starting", "running");
    await until("the next one", 20_000, async () => (await running(dash.container)) === "true");
  });

test("somebody else takes its name: that one is shown as somebody else's, and left as it is", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  await dash.command("stop");
  await dash.state("stopped");
  await docker("rm", dash.container);
  // Another program with our name, which is no vLLM and has no port.
  const id = await docker("create", "--name", dash.container, "--entrypoint", "/vllm-sim", "vllm/vllm-openai:latest", "serve", "Other/Model");
  const card = await open(page, dash.url);
  await until("the other one", 20_000, async () => (await dash.service()).container?.id.startsWith(id.slice(0, 12)) === true);
  const seen = await dash.service();
  expect(seen.container).toMatchObject({ adopted: true, name: dash.container });
  expect(seen.state.state).toBe("stopped");
  await card.shows("Stopped");
  // It is started as it is: its command is not ours to change.
  await dash.command("start");
  await until("it runs", 20_000, async () => (await running(id)) === "true");
  expect((await inspect(dash.container))?.Config.Cmd).toEqual(["serve", "Other/Model"]);
  expect((await inspect(dash.container))?.Id).toBe(id);
});

test("a container that the kernel ends for its memory has failed for that, and not for being killed", async ({ page, dashboard }) => {
  test.slow();
  const dash = await dashboard({ image: INSTANT });
  await dash.running();
  const card = await open(page, dash.url);
  await card.shows("Running");
  await docker("update", "--memory", "40m", "--memory-swap", "40m", dash.container);
  const requests = fill(dash.enginePort, 100);
  try {
    await card.shows("Failed", 40_000);
  } finally {
    for (const request of requests) request.destroy();
  }
  expect(await docker("inspect", "-f", "{{.State.OOMKilled}}", dash.container)).toBe("true");
  const failed = await dash.service();
  expect(failed.state.failure?.kind).toBe("out-of-memory");
  expect(failed.state.failure?.diagnosis?.cause).toBe("host-out-of-memory");
  await expect(card.article).toContainText(/memory/i);
  await docker("update", "--memory", "1g", "--memory-swap", "1g", dash.container);
  await dash.running();
});
