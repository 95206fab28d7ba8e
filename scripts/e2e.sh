#!/usr/bin/env bash
# The page tests: Playwright on Debian's Chromium against target/release/server and the tests' own engine.
# Arguments go to Playwright; --types checks their types only.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/needs.sh

if [ "${1:-}" = --types ]; then
	cd end2end
	exec npx --no-install tsc --noEmit
fi

# make test has done this already.
if [ -z "${SERVICES_TEST_DOCKER:-}" ]; then
	need_tests
	[ -n "$BROWSER" ] || die "The page tests need Node and Chromium"
	trap stop_engine EXIT
	[ -z "$ENGINE" ] || start_engine
fi
export SERVICES_BINARY=${SERVICES_BINARY:-$ROOT/target/release/server}
[ -x "$SERVICES_BINARY" ] || die "$SERVICES_BINARY is missing: run make run or make test first"
cd end2end
npx --no-install playwright test "$@"
