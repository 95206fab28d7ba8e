# shellcheck shell=bash
# Sourced: sets up what a build needs and is missing, and puts it first on PATH for this build only.
# Nothing goes over the user's own tools: ours live under $CACHE.

LEPTOS_VERSION=0.3.10
BINARYEN_VERSION=132.0.0
RUST_MINIMUM=1.95

# Tools run for seconds and compile for minutes: unoptimised and in many units, cargo-leptos takes 6 minutes instead of 16.
TOOL_PROFILE=(
	CARGO_PROFILE_RELEASE_LTO=false
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0
	CARGO_PROFILE_RELEASE_DEBUG=false
	CARGO_PROFILE_RELEASE_STRIP=true
)

# tool_version NAME [FOLDER]: the version number that the program itself states.
tool_version() { { PATH=${2:-$PATH} "$1" --version 2>/dev/null || true; } | grep -oE '[0-9]+(\.[0-9]+)*' | head -n 1 || true; }

# at_least HAVE WANTED
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

need_compilers() {
	have cargo || die "Rust is missing. Install rustup from https://rustup.rs, then run this again."
	have cc || die "A C compiler is missing. On Debian: apt-get install build-essential"
	local rust
	rust=$(tool_version rustc)
	at_least "$rust" $RUST_MINIMUM || die "Rust $RUST_MINIMUM or newer is needed, this is $rust. Run: rustup update stable"
}

need_wasm_target() {
	[ ! -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ] || return 0
	have rustup || die "The Rust target wasm32-unknown-unknown is missing, and there is no rustup to add it."
	say "Adding the Rust target wasm32-unknown-unknown"
	rustup target add wasm32-unknown-unknown >&2
}

# ours BINARY VERSION: already installed by an earlier call.
ours() { [ "$(tool_version "$1" "$CACHE/tools/bin")" = "$2" ]; }

# install_tool CRATE VERSION TIME [ARGUMENT…]
install_tool() {
	local crate=$1 version=$2 time=$3
	shift 3
	say "Installing $crate $version into $CACHE/tools (about $time on two cores, once)"
	[ -t 2 ] || set -- --quiet "$@"
	env "${TOOL_PROFILE[@]}" cargo install --force --root "$CACHE/tools" --version "$version" "$@" "$crate" >&2
}

need_wasm_bindgen() {
	local version
	[ -f Cargo.lock ] || cargo generate-lockfile >&2
	# Both sides of wasm-bindgen must be of exactly one version.
	version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
	[ -n "$version" ] || die "Cargo.lock names no wasm-bindgen"
	[ "$(tool_version wasm-bindgen)" = "$version" ] || ours wasm-bindgen "$version" ||
		install_tool wasm-bindgen-cli "$version" "3 minutes"
}

need_cargo_leptos() {
	case $(tool_version cargo-leptos) in 0.3.*) return 0 ;; esac
	! ours cargo-leptos $LEPTOS_VERSION || return 0
	# It builds OpenSSL from source, which is configured by Perl.
	{ have perl && perl -MIPC::Cmd -e 1 2>/dev/null; } || die "Perl is missing (to build cargo-leptos). On Debian: apt-get install build-essential"
	# Without its own downloads: a missing tool is an error here, not a program from somewhere.
	install_tool cargo-leptos $LEPTOS_VERSION "7 minutes" --locked --features no_downloads
}

need_wasm_opt() {
	local bin=$CACHE/npm/node_modules/.bin
	at_least "$(tool_version wasm-opt)" 120 && return 0
	if have node && have npm; then
		if [ ! -x "$bin/wasm-opt" ] || [ "$(cat "$CACHE/npm/version" 2>/dev/null)" != $BINARYEN_VERSION ]; then
			say "Installing wasm-opt (npm binaryen $BINARYEN_VERSION) into $CACHE/npm"
			mkdir -p "$CACHE/npm"
			if npm install --silent --no-audit --no-fund --prefix "$CACHE/npm" "binaryen@$BINARYEN_VERSION" >&2; then
				echo $BINARYEN_VERSION >"$CACHE/npm/version"
			fi
		fi
		if [ -x "$bin/wasm-opt" ]; then
			PATH=$bin:$PATH
			return 0
		fi
	fi
	! in_ci || die "wasm-opt is missing, and CI=true skips nothing: install Node"
	warn "Skipped: wasm-opt (no Node, or npm failed). Everything works, the page's WASM will be larger."
	# cargo-leptos insists on a wasm-opt that changes the file in place: this one leaves it as it is.
	mkdir -p "$CACHE/no-wasm-opt"
	printf '#!/bin/sh\nexit 0\n' >"$CACHE/no-wasm-opt/wasm-opt"
	chmod +x "$CACHE/no-wasm-opt/wasm-opt"
	PATH=$CACHE/no-wasm-opt:$PATH
}

need_tools() {
	need_compilers
	need_wasm_target
	need_wasm_bindgen
	need_cargo_leptos
	PATH=$CACHE/tools/bin:$PATH
	need_wasm_opt
	export PATH
}

# The release build: the page with its .br and .gz beside each file, then the server.
build_release() { cargo leptos build --release --precompress >&2; }
