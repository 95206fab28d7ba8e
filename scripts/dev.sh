#!/usr/bin/env bash
# `make dev`: builds without optimising, serves, and rebuilds on every change.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

need_tools
exec cargo leptos watch -- "$@"
