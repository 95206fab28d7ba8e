# shellcheck shell=bash
# shellcheck disable=SC2034
# Sourced: what the tests need beyond a build. Sets ENGINE=1 and BROWSER=1 where there is one.

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMIUM

# lacking WHAT WHY: an error under CI=true, otherwise said and skipped.
lacking() {
	! in_ci || die "$1 cannot be run: $2 (CI=true skips nothing)"
	warn "Skipped: $1 ($2)"
	SKIPPED+=("$1: $2")
}

need_test_packages() {
	local packages=() tool
	for tool in dockerd:docker.io docker-registry:docker-registry ip:iproute2 dbus-daemon:dbus-daemon openssl:openssl sqlite3:sqlite3; do have "${tool%%:*}" || packages+=("${tool##*:}"); done
	[ -x "$CHROMIUM" ] || packages+=(chromium)
	# A clock that tests can set.
	compgen -G "/usr/lib/*/faketime/libfaketime.so.1" >/dev/null || packages+=(libfaketime)
	# Debian 12's docker.io brings the client along, later Debians have it apart.
	have docker || ! apt-cache show docker-cli >/dev/null 2>&1 || packages+=(docker-cli)
	[ ${#packages[@]} = 0 ] || apt_install "${packages[@]}" || true
}

need_npm_packages() {
	have npm || return 0
	# npm writes this file last; a lock that is newer asks for a new installation.
	[ end2end/node_modules/.package-lock.json -nt end2end/package-lock.json ] ||
		(cd end2end && npm ci --silent --no-audit --no-fund >&2)
}

need_tests() {
	SKIPPED=() ENGINE='' BROWSER=''
	need_test_packages
	need_npm_packages
	if [ "$(id -u)" != 0 ]; then
		lacking "tests on a Docker engine" "their own engine needs root"
	elif ! have dockerd || ! have docker || ! have docker-registry || ! have ip; then
		lacking "tests on a Docker engine" "docker.io, docker-registry and iproute2 are needed"
	else
		ENGINE=1
	fi
	if ! have npm; then
		lacking "page tests" "Node is needed"
	elif [ ! -x "$CHROMIUM" ]; then
		lacking "page tests" "chromium is needed"
	else
		BROWSER=1
	fi
}

# An engine that ran before is kept, and kept running afterwards.
start_engine() {
	[ -f "${SERVICES_ENGINE_STATE:-$ROOT/end2end/.engine}" ] || ENGINE_IS_OURS=1
	"$ROOT/scripts/engine.sh" start
	eval "$("$ROOT/scripts/engine.sh" env)"
}
stop_engine() { [ -z "${ENGINE_IS_OURS:-}" ] || "$ROOT/scripts/engine.sh" stop; }
