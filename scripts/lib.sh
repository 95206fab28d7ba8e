# shellcheck shell=bash
# What all scripts share: saying, timing, asking, and where things are kept.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/services}
# Exported for the child processes that the scripts start (make, cargo, node).
export SERVICES_CACHE=$CACHE
cd "$ROOT" || exit

STEP=
STEP_BEGIN=0
STEP_REPORT=()

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
warn() { printf '\033[1;33m==>\033[0m %s\n' "$*" >&2; }
die() {
	printf '\033[1;31m==>\033[0m %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
in_ci() { [ "${CI:-}" = true ]; }

# step NAME COMMAND…: announces, runs, and times. Called plainly, so that `set -e` holds inside it.
step() {
	STEP=$1
	STEP_BEGIN=$SECONDS
	shift
	say "$STEP"
	"$@"
	step_end ok
}

step_end() {
	[ -z "$STEP" ] || STEP_REPORT+=("$(printf '%-34s %4d s  %s' "$STEP" $((SECONDS - STEP_BEGIN)) "$1")")
	STEP=
}

step_report() {
	[ ${#STEP_REPORT[@]} = 0 ] || printf '    %s\n' "${STEP_REPORT[@]}" >&2
}

# ask QUESTION: yes under CI=true or YES=1; no where nobody can answer.
ask() {
	local answer
	if in_ci || [ "${YES:-}" = 1 ]; then return 0; fi
	[ -t 0 ] || return 1
	read -r -p "$1 [y/N] " answer
	[[ $answer == [yY]* ]]
}

# apt_install PACKAGE…: asks first; false where it was refused or cannot be done.
apt_install() {
	local sudo=()
	have apt-get || {
		warn "not Debian: please install by hand what matches: $*"
		return 1
	}
	[ "$(id -u)" = 0 ] || sudo=(sudo)
	ask "Install Debian packages: $*?" || {
		warn "missing Debian packages: $* (YES=1 installs them)"
		return 1
	}
	say "apt-get install $*"
	"${sudo[@]}" apt-get update -qq || warn "apt-get update failed; trying with the lists at hand"
	# Never at the price of a package of the user (docker.io and docker-ce exclude each other).
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove --no-install-recommends "$@" >&2
}
