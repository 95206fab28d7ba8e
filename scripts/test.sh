#!/usr/bin/env bash
# `make test`: every check there is, each step announced, its time at the end.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh
. scripts/needs.sh

# A second CI run on the same machine finds the first one's build.
if in_ci && [ ! -e target ]; then
	mkdir -p "$CACHE/ci-target"
	ln -sfn "$CACHE/ci-target" target
fi

COUNTS=$(mktemp -d)
FAILED=()
SKIPPED=()

# check NAME COMMAND…: a step whose failure does not keep the others from being run.
check() {
	STEP=$1
	STEP_BEGIN=$SECONDS
	shift
	say "$STEP"
	if "$@"; then step_end ok; else
		FAILED+=("$STEP")
		step_end FAILED
	fi
}

# counted FILE COMMAND…: shown while it runs, and kept for the counts at the end.
counted() {
	local file=$1
	shift
	"$@" 2>&1 | tee "$COUNTS/$file" >&2
}

rust_tests() {
	local packages=(-p app -p server -p vllm-sim -p systemd-sim)
	# Tests load the stand-in for the GPU driver's library from the target folder.
	cargo build --quiet -p nvml-sim
	if have cargo-nextest; then
		counted rust cargo nextest run --no-fail-fast --no-tests=pass "${packages[@]}"
	else
		counted rust cargo test --no-fail-fast "${packages[@]}"
	fi
}

page_tests() { counted page env FORCE_COLOR=0 scripts/e2e.sh; }

# The runners' own lines, then one for all of them.
counts() {
	cat "$COUNTS"/* 2>/dev/null |
		grep -E '^ *Summary \[|^test result: |^ +[0-9]+ (passed|failed|flaky|skipped|interrupted|did not run)\b' |
		tee "$COUNTS/lines" || true
	# What did not run is no success, and neither is a step that failed before its runner could count.
	awk -v rc="$1" '
		{ for (i = 2; i <= NF; i++) {
			if ($i ~ /^passed/) passed += $(i - 1)
			if ($i ~ /^(failed|flaky|interrupted|timed)/) failed += $(i - 1)
			if ($i == "did") failed += $(i - 1) } }
		END { if (rc != 0 && !failed) failed = 1
			printf "%d passed, %d failed\n", passed, failed
			exit (failed > 0) }' "$COUNTS/lines"
}

finish() {
	local rc=$1 line
	[ "$rc" = 0 ] || [ -z "$STEP" ] || FAILED+=("$STEP")
	step_end FAILED
	stop_engine || rc=1
	echo >&2
	step_report
	for line in "${SKIPPED[@]}"; do warn "Skipped: $line"; done
	for line in "${FAILED[@]}"; do
		warn "FAILED: $line"
		rc=1
	done
	counts "$rc" || rc=1
	rm -rf "$COUNTS"
	exit "$rc"
}
trap 'finish $?' EXIT
trap 'exit 130' INT TERM

step "Tools for the build" need_tools
step "Needs of the tests" need_tests
check "Format" cargo fmt --all --check
check "Lints" scripts/clippy.sh
[ -z "$ENGINE" ] || step "Test engine" start_engine
check "Unit and integration tests" rust_tests
step "Release build of page and server" build_release
[ -z "$BROWSER" ] || check "Types of the page tests" scripts/e2e.sh --types
! have node || check "Weight of the first load" node scripts/weight.mjs --limit
[ -z "$BROWSER" ] || check "Page tests" page_tests
