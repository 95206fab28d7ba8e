#!/usr/bin/env bash
# A service's whole life on an engine that is named: ENGINE=unix:///PATH IMAGE=NAME:TAG, an image of vLLM that it can pull.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "${ENGINE:-}" ] && [ -n "${IMAGE:-}" ] || die "usage: make test-engines ENGINE=unix:///PATH IMAGE=NAME:TAG"
SERVICES_TRY_ENGINE=$ENGINE SERVICES_TRY_IMAGE=$IMAGE \
	cargo test --quiet -p server -p app --test engines -- --ignored --nocapture
