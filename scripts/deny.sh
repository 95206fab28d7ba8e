#!/usr/bin/env bash
# `make deny`: licences, sources and known holes of everything that is built in, by deny.toml.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

DENY_VERSION=0.20.2

need_compilers
case $(tool_version cargo-deny) in
0.1[89].* | 0.[2-9][0-9].*) ;;
*) ours cargo-deny $DENY_VERSION || install_tool cargo-deny $DENY_VERSION "8 minutes" --locked ;;
esac
export PATH="$CACHE/tools/bin:$PATH"

cargo deny --locked check licenses bans sources
# The list of known holes is fetched; without it nothing is known of them, and that is no success.
say "Known holes (RustSec)"
cargo deny --locked check advisories
