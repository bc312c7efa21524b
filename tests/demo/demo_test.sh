#!/usr/bin/env bash
# Runs scripts/demo.sh as a user does: anew, again, stopped with Ctrl-C, and called wrongly.
#
#   demo_test.sh PROGRAMS_FOLDER
set -euo pipefail
programs=$1
demo=$(cd "$(dirname "$0")/../.." && pwd)/scripts/demo.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export TOME_DEMO_FOLDER=$folder/demo

fail() {
  echo "demo_test.sh: $*" >&2
  tail -n 30 "$folder/out" "$folder/err" >&2
  exit 1
}
# run EXPECTED_CODE ARGUMENTS...: the demo's outputs are then in out and err.
run() {
  local expected=$1 code=0
  shift
  "$demo" --programs "$programs" "$@" >"$folder/out" 2>"$folder/err" || code=$?
  ((code == expected)) || fail "demo.sh $* ended with $code instead of $expected"
}
said() { grep -q -- "$1" "$folder/$2" || fail "expected '$1' in $2"; }

bible -f deu34:1-deu34:12 >"$folder/deuteronomy_34.txt"
question=(--question "Who was full of the spirit of wisdom?")

run 0 --document "$folder/deuteronomy_34.txt" "${question[@]}"
said "creating session" err
said "Joshua the son of Nun" out
said "stopped" demo/server.log

run 0 --document "$folder/deuteronomy_34.txt" "${question[@]}"
said "is there already" err
said "Joshua the son of Nun" out

# Ctrl-C while it reads: a signal to the whole process group.
bible -f gen1:1-gen50:26 >"$folder/genesis.txt"
: >"$folder/err"
env --default-signal=INT setsid "$demo" --programs "$programs" --document "$folder/genesis.txt" \
  >"$folder/out" 2>"$folder/err" &
pid=$!
until grep -q "streaming" "$folder/err"; do
  kill -0 "$pid" 2>/dev/null || fail "the demo ended by itself"
  sleep 0.1
done
kill -INT -- "-$pid"
code=0
wait "$pid" || code=$?
((code == 130)) || fail "after Ctrl-C the demo ended with $code instead of 130"
said "stopping the server" err
said "stopped" demo/server.log

run 2 --no-such-option
run 2 --document "$folder/missing.txt"
: >"$folder/empty.txt"
run 2 --document "$folder/empty.txt"
said "is empty" err
