#!/usr/bin/env bash
# Runs the code tools over the tracked files: a line for each check, details only for those that fail.
#
#   scripts/check.sh                     check
#   scripts/check.sh --fix               let clang-format rewrite the sources first
#   scripts/check.sh --accept-contract   make the present proto/ the baseline of the breaking-change check
#
# The tools are pinned in scripts/tools.txt; scripts/setup.sh --tools fetches them.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.deps/tools/bin
baseline=proto/baseline.binpb
fix=0 accept=0
for arg in "$@"; do
  case $arg in
    --fix) fix=1 ;;
    --accept-contract) accept=1 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "check.sh: unknown option $arg (see --help)" >&2; exit 2 ;;
  esac
done
for tool in buf clang-format codespell shellcheck; do
  [[ -x $tools/$tool ]] || { echo "check.sh: $tool is missing: run scripts/setup.sh --tools first" >&2; exit 2; }
done

if ((accept)); then
  "$tools/buf" build proto --exclude-source-info -o "$baseline"
  echo "$baseline now holds the present contract; commit it with the change of proto/"
fi

mapfile -t sources < <(git ls-files '*.h' '*.cc' '*.cu' '*.cuh')
mapfile -t scripts < <(git ls-files 'scripts/*.sh' 'deploy/*.sh' 'tests/*.sh' .ci/run)
mapfile -t texts < <(git ls-files '*.h' '*.cc' '*.cu' '*.cuh' '*.md' '*.proto' '*.sh' '*.py' '*.cmake' '*CMakeLists.txt' \
  '*.yaml' ':!tests/*_data.*' ':!engine/text/words/stop_words.cc')
existing() { for path in "$@"; do [[ -e $path ]] && printf '%s\n' "$path"; done; }
mapfile -t sources < <(existing "${sources[@]}")

failed=0
# check NAME COMMAND...: runs the command, prints its output only when it fails.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf '%-28s ok\n' "$name"
  else
    printf '%-28s FAILED\n%s\n' "$name" "$output"
    failed=$((failed + 1))
  fi
}

((fix)) && "$tools/clang-format" -i "${sources[@]}"
check "contract (buf lint)" "$tools/buf" lint proto
check "contract (buf breaking)" "$tools/buf" breaking proto --against "$baseline"
check "format (clang-format)" "$tools/clang-format" --dry-run -Werror "${sources[@]}"
check "shell (shellcheck)" "$tools/shellcheck" --external-sources "${scripts[@]}"
check "spelling (codespell)" "$tools/codespell" --ignore-words scripts/spelling.txt "${texts[@]}"
check "walls (walls.py)" python3 scripts/walls.py

if ((failed)); then
  echo "check.sh: $failed of the checks failed" >&2
  exit 1
fi
