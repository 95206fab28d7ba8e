#!/usr/bin/env bash
# The page tests: Playwright on the system's Chromium against the release build and the tests' own engine.
# Arguments go to Playwright; --types checks their types only. SERVICES_BINARY names another build.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/needs.sh

if [ "${1:-}" = --types ]; then
	need_npm_packages
	cd end2end
	npx --no-install tsc --noEmit
	exit
fi

COPY=
finish() {
	local rc=$?
	[ -z "$COPY" ] || rm -rf "$COPY"
	stop_engine || rc=1
	exit $rc
}
trap finish EXIT

# make test has done this already.
if [ -z "${SERVICES_TEST_DOCKER:-}" ]; then
	need_tests
	[ -n "$BROWSER" ] || die "The page tests need Node and Chromium"
	[ -z "$ENGINE" ] || start_engine
fi

# A copy: another build in this checkout may not change what is tested.
if [ -z "${SERVICES_BINARY:-}" ]; then
	[ -x target/release/server ] || die "target/release/server is missing: run make run or make test first"
	COPY=$(mktemp -d)
	cp target/release/server "$COPY/server"
	cp -r target/site "$COPY/site"
	export SERVICES_BINARY=$COPY/server
fi
cargo build --quiet -p nvml-sim -p systemd-sim
export SERVICES_TEST_SYSTEMD=$PWD/target/debug/systemd-sim
export SERVICES_TEST_NVML=$PWD/target/debug/libnvml_sim.so
cd end2end
npx --no-install playwright test "$@"
