#!/usr/bin/env bash
# Runs every fuzz target, one after another: scripts/fuzz.sh [SECONDS_FOR_EACH] [TARGET…]. Fails on a finding and keeps its input.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

FUZZ_VERSION=0.13.1
SECONDS_EACH=${1:-60}
[[ $SECONDS_EACH =~ ^[0-9]+$ ]] || die "Seconds for each target are a number, not «$SECONDS_EACH»"
shift || true

need_compilers
have c++ || die "A C++ compiler is missing (libFuzzer). On Debian: apt-get install build-essential"
[ "$(tool_version cargo-fuzz)" = $FUZZ_VERSION ] || ours cargo-fuzz $FUZZ_VERSION ||
	install_tool cargo-fuzz $FUZZ_VERSION "1 minute" --locked
PATH=$CACHE/tools/bin:$PATH

FUZZ=$ROOT/server/fuzz
# Coverage needs a flag that stable Rust has and hides; no sanitizer, as there is no unsafe code to watch.
export RUSTC_BOOTSTRAP=1
ARGS=(--fuzz-dir "$FUZZ" --target-dir "$CACHE/fuzz/target" -s none)
TARGETS=("$@")
[ ${#TARGETS[@]} != 0 ] || mapfile -t TARGETS < <(cargo fuzz list --fuzz-dir "$FUZZ")

# seeds TARGET: the folder of inputs to begin with.
seeds() {
	case $1 in
	log_grammar | progress_bars | explain) echo "$FUZZ/seeds/log" ;;
	prometheus) echo "$ROOT/server/tests/metrics" ;;
	safetensors_header) echo "$FUZZ/seeds/header" ;;
	model_config) echo "$ROOT/server/tests/plan" ;;
	esac
}

# fuzz TARGET: what is found out stays in the cache, so that the next run goes on from there.
fuzz() {
	local corpus=$CACHE/fuzz/corpus/$1 findings=$CACHE/fuzz/findings/$1 seeds
	seeds=$(seeds "$1")
	mkdir -p "$corpus" "$findings"
	# An input that takes 10 s, or 1 GiB, is a finding: parsers are linear, and bounded in memory.
	cargo fuzz run "${ARGS[@]}" "$1" "$corpus" ${seeds:+"$seeds"} -- \
		-artifact_prefix="$findings/" -max_total_time="$SECONDS_EACH" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
		-print_final_stats=1 -verbosity=0 2>&1 | sed "/Recommended dictionary/,/End of recommended/d" >&2 || {
		warn "$1: a finding lies in $findings"
		return 1
	}
}

FAILED=()
step "Build of the fuzz targets" cargo fuzz build "${ARGS[@]}" >&2
for target in "${TARGETS[@]}"; do
	STEP="Fuzz: $target"
	STEP_BEGIN=$SECONDS
	say "$STEP"
	if fuzz "$target"; then step_end ok; else
		FAILED+=("$target")
		step_end FAILED
	fi
done
step_report
[ ${#FAILED[@]} = 0 ] || die "Findings in: ${FAILED[*]}"
say "No finding in ${#TARGETS[@]} targets of $SECONDS_EACH s each"
