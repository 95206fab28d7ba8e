#!/usr/bin/env bash
# `make screenshots`: the page on its good and bad days, into OUT; the README's picture into images/.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

OUT=${OUT:-$ROOT/target/screenshots}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd) scripts/e2e.sh --config screenshots.config.ts
say "Pictures are in $OUT"
