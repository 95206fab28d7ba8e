#!/usr/bin/env bash
# Lints, once per side: `ssr` and `hydrate` are never built together.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo clippy --quiet -p server -p app -p vllm-sim -p nvml-sim --all-targets -- -D warnings
cargo clippy --quiet -p frontend --target wasm32-unknown-unknown -- -D warnings
