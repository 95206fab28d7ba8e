import { defineConfig } from "@playwright/test";
import tests from "./playwright.config.ts";

export default defineConfig({
  ...tests,
  testDir: "bench",
  testMatch: "*.bench.ts",
  timeout: 300_000,
  // The figures are the report.
  reporter: [["line"]],
  use: { ...tests.use, trace: "off", screenshot: "off" },
});
