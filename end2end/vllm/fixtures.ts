// A dashboard whose `vllm` is the real one, on the CPU, with the tiny model that scripts/test-vllm.sh has made.
import type { Dashboard } from "../harness/dashboard.ts";
import { ask, until } from "../harness/net.ts";
import { expect, test as base, type Card } from "../tests/fixtures.ts";
import { groupOnPort, members } from "./processes.ts";

/** The folder with the program `vllm`, and the one with `model` and `adapter`. */
const [bin, made] = [process.env["SERVICES_TEST_VLLM_BIN"], process.env["SERVICES_TEST_VLLM_MODELS"]];

/** The longest start that is waited for. */
export const START = 240_000;
/** A stop, with SIGKILL after 30 s. */
export const STOP = 60_000;

export const ADAPTER = "tiny-adapter";
/** What the model was made for, in tokens. */
export const LENGTH = 512;

/** Without compiling; two requests at once. */
const ARGS = ["--enforce-eager", "--max-num-seqs", "2"];
const WITH_ADAPTER = ["--enable-lora", "--max-lora-rank", "8", "--lora-modules", `${ADAPTER}=${made}/adapter`];

interface Real {
  /** A dashboard that is stopped, with these further arguments of `vllm serve`. */
  real: (options?: { args?: string[]; adapter?: boolean; model?: string }) => Promise<Dashboard>;
}

export const test = base.extend<Real>({
  real: async ({ dashboard }, use) => {
    if (!bin || !made) throw new Error("start these tests with make test-vllm");
    const started: Dashboard[] = [];
    await use(async ({ args = [], adapter = false, model = `${made}/model` } = {}) => {
      // Arguments have no variable: they stand in services.toml.
      const all = [...ARGS, ...(adapter ? WITH_ADAPTER : []), ...args];
      const dash = await dashboard({
        toml: `[[service]]\nname = "vllm"\nargs = ${JSON.stringify(all)}\n`,
        env: {
          PATH: `${bin}:/usr/bin:/bin`,
          VLLM_RUNTIME: "process",
          VLLM_MODEL: model,
          // vLLM's own, handed on by the dashboard.
          HF_HUB_OFFLINE: "1",
          VLLM_CPU_KVCACHE_SPACE: "1",
          VLLM_NO_USAGE_STATS: "1",
        },
      });
      started.push(dash);
      return dash;
    });
    for (const dash of started) {
      const group = groupOnPort(dash.enginePort);
      if (!dash.alive) await dash.up();
      await dash.command("stop");
      await until("an end", STOP, async () => ["stopped", "failed"].includes((await dash.service()).state.state)).catch((error: unknown) => {
        // Nothing may be left running, whatever the test has found; it held gigabytes.
        if (group !== undefined) process.kill(-group, "SIGKILL");
        throw error;
      });
    }
  },
});

export { expect };

export interface Completion {
  status: number;
  /** Random weights write nonsense, but always the same nonsense. */
  tokens: number[];
}

/** Asks the engine itself, as any client would. */
export async function complete(dash: Dashboard, model: string): Promise<Completion> {
  const body = JSON.stringify({ model, prompt: "To be", max_tokens: 16, temperature: 0, ignore_eos: true, return_token_ids: true });
  const headers = { "content-type": "application/json" };
  const answer = await ask(`http://127.0.0.1:${dash.enginePort}/v1/completions`, { method: "POST", headers, body, timeout: 60_000 });
  const { choices } = JSON.parse(answer.body) as { choices?: { token_ids: number[] }[] };
  return { status: answer.status, tokens: choices?.[0]?.token_ids ?? [] };
}

/** What a start was seen to go through. */
export interface Seen {
  phases: { phase: string; seconds: number }[];
  readyAfter: number;
  peakMib: number;
}

/** Follows a start until the service runs (or ends): its phases in order, and the memory of all its processes. */
export async function followStart(dash: Dashboard): Promise<Seen> {
  const begin = Date.now();
  const seen: Seen = { phases: [], readyAfter: 0, peakMib: 0 };
  let group: number | undefined;
  let polls = 0;
  await until("the end of the start", START, async () => {
    const { state } = await dash.service();
    if (state.state !== "starting") return true;
    const seconds = (Date.now() - begin) / 1000;
    if (state.phase && seen.phases.at(-1)?.phase !== state.phase) seen.phases.push({ phase: state.phase, seconds });
    // Reading all of /proc is not for each look.
    if (polls++ % 10 === 0) {
      group ??= groupOnPort(dash.enginePort);
      const mib = members(group).reduce((sum, one) => sum + one.residentMib, 0);
      seen.peakMib = Math.max(seen.peakMib, mib);
    }
    return false;
  });
  seen.readyAfter = (Date.now() - begin) / 1000;
  return seen;
}

/** Keeps which phases the page has called the current one, in order, from now on. */
export async function watchPhases(card: Card): Promise<() => Promise<string[]>> {
  const article = await card.article.elementHandle();
  const kept = await card.page.evaluateHandle((element) => {
    const shown: string[] = [];
    const look = () => {
      const now = element?.querySelector<HTMLElement>('[aria-current="step"]')?.dataset["phase"];
      if (now && shown.at(-1) !== now) shown.push(now);
    };
    new MutationObserver(look).observe(element as Node, { subtree: true, childList: true, attributes: true });
    look();
    return shown;
  }, article);
  return () => kept.jsonValue();
}
