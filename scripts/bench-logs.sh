#!/usr/bin/env bash
# `make bench-logs`: how log lines get from a container to those who look. Arguments are the sections to run: sse, page,
# viewers, run (a run of 5 million lines in Chromium), history (MILLIONS of lines, 10 if not said).
# FULL=1 takes the whole time that the budgets are for. Nothing here passes or fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

STREAMED=()
HISTORY=
[ $# -gt 0 ] || HISTORY=1
for section in "$@"; do
	if [ "$section" = history ]; then HISTORY=1; else STREAMED+=("$section"); fi
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
history() { cargo run --quiet --release -p server --no-default-features --example history -- "$@"; }

if [ -n "$HISTORY" ]; then
	say "History: ${MILLIONS:-10} million lines written, searched, opened"
	history "$folder/history" "${MILLIONS:-10}"
	rm -rf "$folder/history"
fi

if [ $# -eq 0 ] || [ ${#STREAMED[@]} -gt 0 ]; then
	if [ -z "${SERVICES_BINARY:-}" ]; then
		need_tools
		say "Building the page and the server"
		build_release
	fi
	if [ $# -eq 0 ] || [[ " ${STREAMED[*]} " == *" run "* ]]; then
		say "A run of 5 million lines"
		history "$folder" 5 write
		export LONG_RUN="$folder/bench/1"
	fi
	SECTIONS=$(IFS='|'; echo "${STREAMED[*]}")
	scripts/e2e.sh --config bench.config.ts logs.bench.ts ${SECTIONS:+-g "\\b($SECTIONS):"}
fi
