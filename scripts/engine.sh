#!/usr/bin/env bash
# The tests' own Docker engine and registry: own socket, data root, exec root, bridge, containerd.
# It never opens DOCKER_HOST or the default socket, and writes no firewall rule: `--iptables=false`
# leaves the chains of the machine's own engine alone, published ports go through the user-land proxy.
#
#   start            engine, registry, images (an engine that runs already is kept)
#   images           the vllm-sim images, built again
#   env              shell lines that tell tests where it is
#   kill-daemon [S]  send dockerd alone the signal S (default KILL); containers go on after KILL
#   start-daemon     dockerd again (SERVICES_ENGINE_LIVE_RESTORE=1: running containers are kept)
#   stop             end everything and leave nothing
set -euo pipefail
. "$(dirname "$0")/lib.sh"

STATE=${SERVICES_ENGINE_STATE:-$ROOT/end2end/.engine}
SIM=vllm/vllm-openai

load() {
	[ -f "$STATE" ] || return 1
	# Written by start() below.
	# shellcheck source=/dev/null
	. "$STATE"
}
need_state() { load || die "the test engine is not running (scripts/engine.sh start)"; }

# The client looks at these variables too; only -H may count.
dk() { env -u DOCKER_HOST -u DOCKER_CONTEXT -u DOCKER_TLS_VERIFY docker -H "unix://$ENGINE_DIR/docker.sock" "$@"; }
pid_of() { cat "$ENGINE_DIR/$1.pid" 2>/dev/null || true; }

# alive NAME: the recorded process lives and is still that program (numbers are used again).
alive() {
	local pid
	pid=$(pid_of "$1")
	# The kernel keeps fifteen letters of a name.
	[ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${1:0:15}" ]
}

# wait_for SECONDS WHAT COMMAND…
wait_for() {
	local tries=$(($1 * 10)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $((tries -= 1)) -gt 0 ] || die "$what: not after the time allowed$(printf '\n'; tail -n 20 "$ENGINE_DIR"/*.log 2>/dev/null)"
		sleep 0.1
	done
}
ended() { ! alive "$1"; }

# spawn NAME COMMAND…: in the background, in its own session, so that Ctrl-C reaches only the tests.
spawn() {
	local name=$1
	shift
	setsid "$@" </dev/null >>"$ENGINE_DIR/$name.log" 2>&1 9>&- &
	[ "$name" = dockerd ] || echo $! >"$ENGINE_DIR/$name.pid"
	disown
}

end() {
	local pid
	alive "$1" || return 0
	pid=$(pid_of "$1")
	kill "$pid" 2>/dev/null || true
	for _ in $(seq 150); do
		alive "$1" || return 0
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
}

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])' 2>/dev/null ||
	node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }

make_bridge() {
	local n taken
	taken=$(ip -4 -o addr)
	for n in $(seq 201 250); do
		[[ $taken != *" 10.213.$n."* ]] || continue
		ip link add "$BRIDGE" type bridge
		ip addr add "10.213.$n.1/24" dev "$BRIDGE"
		ip link set "$BRIDGE" up
		return 0
	done
	die "no free network for the test engine's bridge"
}

start_containerd() {
	cat >"$ENGINE_DIR/containerd.toml" <<-TOML
		version = 2
		root = "$ENGINE_DIR/containerd-root"
		state = "$ENGINE_DIR/containerd-state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$ENGINE_DIR/containerd.sock"
	TOML
	spawn containerd containerd --config "$ENGINE_DIR/containerd.toml" --log-level warn
	wait_for 20 "containerd" test -S "$ENGINE_DIR/containerd.sock"
}

start_daemon() {
	local arguments=(
		--config-file "$ENGINE_DIR/daemon.json" --host "unix://$ENGINE_DIR/docker.sock" --pidfile "$ENGINE_DIR/dockerd.pid"
		--data-root "$ENGINE_DIR/data" --exec-root "$ENGINE_DIR/exec" --containerd "$ENGINE_DIR/containerd.sock"
		--bridge "$BRIDGE" --iptables=false --ip-forward=false --ip-masq=false --storage-driver "$STORAGE"
		--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$BRIDGE" --shutdown-timeout 5 --log-level warn)
	[ "${SERVICES_ENGINE_LIVE_RESTORE:-}" != 1 ] || arguments+=(--live-restore)
	# A killed daemon leaves both behind, and a stale socket file would look like an engine that hangs.
	rm -f "$ENGINE_DIR/docker.sock" "$ENGINE_DIR/dockerd.pid"
	spawn dockerd dockerd "${arguments[@]}"
	wait_for 30 "dockerd ($STORAGE)" dk version
}

start_registry() {
	cat >"$ENGINE_DIR/registry.yml" <<-YML
		version: 0.1
		log: { level: warn, accesslog: { disabled: true } }
		storage: { filesystem: { rootdirectory: $ENGINE_DIR/registry }, delete: { enabled: true } }
		http: { addr: "127.0.0.1:$REGISTRY_PORT" }
	YML
	spawn docker-registry docker-registry serve "$ENGINE_DIR/registry.yml"
	wait_for 20 "docker-registry" bash -c "exec 3<>/dev/tcp/127.0.0.1/$REGISTRY_PORT"
}

start() {
	[ "$(id -u)" = 0 ] || die "the tests' own Docker engine needs root"
	local tool
	for tool in dockerd containerd docker docker-registry ip setsid; do have $tool || die "$tool is missing (Debian: docker.io docker-registry iproute2)"; done
	if load && alive dockerd; then
		say "The test engine runs already (unix://$ENGINE_DIR/docker.sock)"
		return 0
	fi
	! load || stop
	say "Starting the tests' own Docker engine and registry"
	ENGINE_DIR=$(mktemp -d "${TMPDIR:-/tmp}/services-engine.XXXX")
	BRIDGE=svct-${ENGINE_DIR##*.}
	REGISTRY_PORT=$(free_port)
	STORAGE=overlay2
	RUN_FOLDERS=$(for dir in /run/containerd /run/docker; do [ -e $dir ] || printf '%s ' $dir/s $dir/plugins $dir; done)
	echo '{}' >"$ENGINE_DIR/daemon.json"
	save
	make_bridge
	start_containerd
	# Overlay does not work on every file system (overlay in a container, for one).
	if ! (start_daemon) 2>/dev/null; then
		end dockerd
		STORAGE=vfs
		save
		start_daemon
	fi
	start_registry
}

save() { printf '%s=%q\n' ENGINE_DIR "$ENGINE_DIR" BRIDGE "$BRIDGE" REGISTRY_PORT "$REGISTRY_PORT" STORAGE "$STORAGE" RUN_FOLDERS "$RUN_FOLDERS" >"$STATE"; }

# image TAG VARIABLE…: vllm-sim as that tag, with these variables; imported, so no builder is needed.
image() {
	local tag=$1 changes=(-c 'ENTRYPOINT ["/vllm-sim"]' -c 'EXPOSE 8000') variable
	shift
	for variable in "$@"; do changes+=(-c "ENV $variable"); done
	tar -C "$(dirname "$SIM_BINARY")" -c --owner=0 --group=0 vllm-sim | dk import "${changes[@]}" - "$SIM:$tag" >/dev/null
}

# Where the static program is: given, or built here.
sim_binary() { echo "${SERVICES_SIM_BINARY:-$ROOT/target/$(host_triple)/release/vllm-sim}"; }
host_triple() { rustc -vV | sed -n 's/^host: //p'; }

images() {
	need_state
	SIM_BINARY=$(sim_binary)
	# The target is named so that the static flag does not reach procedural macros.
	[ -n "${SERVICES_SIM_BINARY:-}" ] || RUSTFLAGS='-C target-feature=+crt-static' CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo build --quiet --release --target "$(host_triple)" -p vllm-sim >&2
	# Importing the same program again would only leave images without a name.
	[ "$(cat "$ENGINE_DIR/sim.sum" 2>/dev/null)" != "$(cksum "$SIM_BINARY")" ] || return 0
	image latest SIM_SPEED=8 SIM_CONTROL=1
	image instant SIM_SPEED=0 SIM_CONTROL=1
	image slow SIM_SPEED=1 SIM_CONTROL=1
	# An image as the registry has it is pulled, so the tests can watch a pull.
	dk tag "$SIM:latest" "127.0.0.1:$REGISTRY_PORT/$SIM:latest"
	dk push --quiet "127.0.0.1:$REGISTRY_PORT/$SIM:latest" >/dev/null
	dk rmi "127.0.0.1:$REGISTRY_PORT/$SIM:latest" >/dev/null
	dk image prune --force >/dev/null
	cksum "$SIM_BINARY" >"$ENGINE_DIR/sim.sum"
}

print_env() {
	need_state
	printf 'export SERVICES_TEST_DOCKER=%q SERVICES_TEST_IMAGE=%q SERVICES_TEST_REGISTRY=%q SERVICES_TEST_SIM=%q SERVICES_ENGINE_STATE=%q\n' \
		"unix://$ENGINE_DIR/docker.sock" "$SIM:instant" "127.0.0.1:$REGISTRY_PORT" "$(sim_binary)" "$STATE"
}

stop() {
	load || return 0
	local containers pid mount
	# A killed daemon's containers are removed by a new one, which also clears what lies under /run.
	alive dockerd || (start_daemon) 2>/dev/null || true
	containers=$(timeout 20 env -u DOCKER_HOST docker -H "unix://$ENGINE_DIR/docker.sock" ps -aq 2>/dev/null || true)
	# shellcheck disable=SC2086
	[ -z "$containers" ] || timeout 60 env -u DOCKER_HOST docker -H "unix://$ENGINE_DIR/docker.sock" rm -f $containers >/dev/null 2>&1 || true
	end dockerd
	end docker-registry
	# Shims and containers that are left all the same: only processes that carry our folder's name.
	grep -lzF -- "$ENGINE_DIR/containerd.sock" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | while read -r pid; do
		grep -q '^containerd-shim' "/proc/$pid/comm" 2>/dev/null || continue
		xargs -r kill -KILL <"/proc/$pid/task/$pid/children" 2>/dev/null || true
		kill -KILL "$pid" 2>/dev/null || true
	done
	end containerd
	# Deepest first.
	awk -v dir="$ENGINE_DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mount; do
		umount "$mount" 2>/dev/null || umount -l "$mount" || true
	done
	ip link del "$BRIDGE" 2>/dev/null || true
	find /sys/fs/cgroup -depth -type d -path "*/$BRIDGE*" -exec rmdir {} + 2>/dev/null || true
	# Some paths under /run cannot be set; those that were not there before go, unless someone uses them.
	# shellcheck disable=SC2086
	[ -z "$RUN_FOLDERS" ] || rmdir $RUN_FOLDERS 2>/dev/null || true
	rm -rf --one-file-system "$ENGINE_DIR"
	rm -f "$STATE"
	say "The test engine is stopped and removed"
}

# Two test runs of one checkout take turns at changing its engine.
have flock || die "flock is missing (Debian: util-linux)"
exec 9>"$STATE.lock"
flock 9

case ${1:-} in
start)
	start
	images
	;;
images) images ;;
env) print_env ;;
kill-daemon)
	need_state
	kill -"${2:-KILL}" "$(pid_of dockerd)"
	wait_for 30 "dockerd to end" ended dockerd
	;;
start-daemon)
	need_state
	alive dockerd || start_daemon
	;;
stop) stop ;;
*) die "usage: scripts/engine.sh start|images|env|kill-daemon [SIGNAL]|start-daemon|stop" ;;
esac
