#!/usr/bin/env bash
# Builds the libFuzzer targets with clang and runs each of them for a while.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]     SECONDS for each target, default 60; TARGET as in fuzz_TARGET
#
# What a target finds is kept in build/fuzz/findings/, what it learnt in build/fuzz/corpus/.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
seconds=${1:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz.sh: SECONDS is a positive number, found $seconds" >&2; exit 2; }
command -v clang++ >/dev/null || { echo "fuzz.sh: clang++ is missing: apt-get install clang libclang-rt-dev" >&2; exit 2; }
scripts/setup.sh
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target tome_fuzzers -- --quiet
folder=build/fuzz
mkdir -p "$folder/corpus" "$folder/findings"
"$folder/bin/tome-fuzz-seeds" "$folder/corpus"
targets=("${@:2}")
if ((${#targets[@]} == 0)); then
  for program in "$folder"/bin/fuzz_*; do targets+=("${program##*/fuzz_}"); done
fi
failed=()
for target in "${targets[@]}"; do
  [[ -x $folder/bin/fuzz_$target ]] || { echo "fuzz.sh: there is no target $target" >&2; exit 2; }
  mkdir -p "$folder/corpus/$target"
  log=$folder/fuzz_$target.log
  if "$folder/bin/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
    -artifact_prefix="$folder/findings/$target-" "$folder/corpus/$target" >"$log" 2>&1; then
    printf '%-24s ok, %s\n' "$target" "$(grep -o 'Done.*' "$log" || echo "see $log")"
  else
    printf '%-24s FAILED, see %s\n' "$target" "$log"
    failed+=("$target")
  fi
done
((${#failed[@]} == 0)) || { echo "fuzz.sh: failed: ${failed[*]}" >&2; exit 1; }
