#!/usr/bin/env bash
# Makes .deps/peers, a Python environment with the peers that tests/benchmarks/ compares Tome with, and with the
# oracle of scripts/golden/. Tome itself needs none of it.
#
#   scripts/setup-peers.sh
#
# Takes about 10 minutes on 2 cores (llama.cpp is built from source for this CPU) and 5 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  '') ;;
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "setup-peers.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
esac
scripts/setup.sh
stamp=.deps/.stamps/peers-$(sha256sum scripts/peers.txt | cut -c1-12)
[[ -e $stamp ]] && exit 0
echo "==> installing the peers into .deps/peers (about 10 minutes)" >&2
[[ -x .deps/peers/bin/pip ]] || python3 -m venv .deps/peers
log=.deps/peers.log
.deps/peers/bin/pip install --disable-pip-version-check -r scripts/peers.txt >"$log" 2>&1 || {
  tail -n 30 "$log" >&2
  echo "setup-peers.sh: pip failed (whole log: $log)" >&2
  exit 1
}
touch "$stamp"
