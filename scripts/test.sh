#!/usr/bin/env bash
# Sets up, checks, builds and tests everything. Passes on a bare Debian 12.
#
#   scripts/test.sh [--preset NAME] [--filter REGEX] [--jobs N] [--no-checks]
#
#   --preset NAME    release (default), debug, asan, tsan or cuda; see CMakePresets.json
#   --filter REGEX   run only the tests whose name matches
#   --jobs N         compile and test with N processes; default: one for each core
#   --no-checks      skip the code tools (scripts/check.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=release filter='' jobs=$(nproc) checks=1
usage() { echo "test.sh: $* (see --help)" >&2; exit 2; }
while (($#)); do
  case $1 in
    --preset | --filter | --jobs) [[ -n ${2:-} ]] || usage "$1 needs a value" ;;&
    --preset) preset=$2; shift ;;
    --filter) filter=$2; shift ;;
    --jobs) jobs=$2; shift ;;
    --no-checks) checks=0 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) usage "unknown option $1" ;;
  esac
  shift
done
case $preset in
  release | debug | asan | tsan | cuda) ;;
  *) usage "unknown preset $preset; one of release, debug, asan, tsan, cuda" ;;
esac
[[ $jobs =~ ^[1-9][0-9]*$ ]] || usage "--jobs wants a positive number, found $jobs"
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

setup=(--tools)
[[ $preset == cuda ]] && setup+=(--cuda)
scripts/setup.sh "${setup[@]}"
if ((checks)); then
  say "checking the sources"
  scripts/check.sh
fi
say "configuring and building preset $preset"
configure=$(mktemp)
trap 'rm -f "$configure"' EXIT
cmake --preset "$preset" >"$configure" 2>&1 || { cat "$configure" >&2; echo "test.sh: cmake failed" >&2; exit 1; }
cmake --build --preset "$preset" -j "$jobs"
say "testing preset $preset"
arguments=(--preset "$preset" -j "$jobs")
[[ -n $filter ]] && arguments+=(--tests-regex "$filter" --no-tests=error)
ctest "${arguments[@]}"
