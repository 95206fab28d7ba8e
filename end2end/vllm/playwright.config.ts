import { defineConfig } from "@playwright/test";
import tests from "../playwright.config.ts";

export default defineConfig({
  ...tests,
  testDir: ".",
  // Not where the page tests write: they may run beside it, and clear their folder.
  outputDir: "../playwright-report/vllm",
  // A start takes half a minute on two free cores, and more beside other work.
  timeout: 480_000,
  // The first that fails says enough: each costs a start.
  maxFailures: 1,
  reportSlowTests: null,
});
