#!/usr/bin/env bash
# `make bench-logs`: how log lines get from a container to those who look. Arguments are the sections to run: sse, page, viewers.
# FULL=1 takes the whole time that the budgets are for. Nothing here passes or fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

if [ -z "${SERVICES_BINARY:-}" ]; then
	need_tools
	say "Building the page and the server"
	build_release
fi
SECTIONS=$(IFS='|'; echo "$*")
scripts/e2e.sh --config bench.config.ts logs.bench.ts ${SECTIONS:+-g "\\b($SECTIONS):"}
