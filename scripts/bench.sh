#!/usr/bin/env bash
# `make bench`: the figures against their budgets, measured on this machine. Nothing here passes or fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

need_tools
say "Building the page and the server"
build_release
say "First load"
node scripts/weight.mjs
say "The rest, on the tests' own engine"
scripts/e2e.sh --config bench.config.ts
