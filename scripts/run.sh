#!/usr/bin/env bash
# `make run`: sets up what is missing, builds in release, serves. Arguments go to the server.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/tools.sh

need_compilers
[ -x target/release/server ] || say "The first time takes about 15 minutes on two cores, mostly for the build tools; seconds afterwards"
need_tools
say "Building the page and the server"
build_release
exec target/release/server "$@"
