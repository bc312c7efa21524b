#!/usr/bin/env bash
# Streams a book into a Tome session over gRPC and asks it questions, on a real model. Installs what is missing.
#
#   scripts/demo.sh [--full | --quick | --document FILE] [--question TEXT]... [--cuda] [--programs FOLDER]
#
#   (nothing)          the five books of Moses from Debian's King James Bible: 860 KB, 234,000 tokens
#   --full             the whole King James Bible: 4.4 MB, 1.2 million tokens
#   --quick            only the end of Deuteronomy: 19 KB, to see that all works
#   --document FILE    any UTF-8 text file
#   --question TEXT    ask this instead of the three questions that fit the document; may be repeated
#   --cuda             take the CUDA build (needs an NVIDIA GPU, and 3 GB more to fetch)
#   --programs FOLDER  take tome-server and tome from here; set up and build nothing
#
# Everything lies in .deps/ (libraries, model), build/ and .demo/ (texts, the server's data; or where TOME_DEMO_FOLDER
# says). A second run takes up what is there. Ctrl-C stops cleanly; the next run goes on where this one stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { echo "demo.sh: $* (see --help)" >&2; exit 2; }
book=moses document='' device=cpu bin='' questions=()
folder=${TOME_DEMO_FOLDER:-.demo}
while (($#)); do
  case $1 in
    --document | --question | --programs) [[ -n ${2:-} ]] || usage "$1 needs a value" ;;&
    --full) book=bible ;;
    --quick) book=deuteronomy_31-34 ;;
    --document) book='' document=$2; shift ;;
    --question) questions+=("$2"); shift ;;
    --cuda) device=cuda ;;
    --programs) bin=$2; shift ;;
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) usage "unknown option $1" ;;
  esac
  shift
done
[[ -n $book || -r $document && -f $document ]] || usage "$document is not a file that can be read"
[[ -n $book || -s $document ]] || usage "$document is empty"

say() { printf '\n\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { echo "demo.sh: $*" >&2; exit 1; }

# --- Set up and build ------------------------------------------------------------------------------------------------
set_up_and_build() {
  local preset=release setup=()
  [[ $device == cuda ]] && preset=cuda setup=(--cuda)
  scripts/setup.sh "${setup[@]}"
  bin=build/$preset/bin
  cmake --preset "$preset" >"$folder/cmake.log" 2>&1 || {
    cat "$folder/cmake.log" >&2
    die "cmake could not configure the build"
  }
  [[ -x $bin/tome-server && -x $bin/tome ]] || say "building tome-server and tome (once, some minutes)"
  cmake --build --preset "$preset" --target tome-server tome -- --quiet
}
mkdir -p "$folder/texts"
exec {lock}>"$folder/lock"
flock --nonblock "$lock" || die "another demo runs in $folder"
[[ -n $bin ]] || set_up_and_build
[[ -x $bin/tome-server && -x $bin/tome ]] || die "there is no tome-server or no tome in $bin"

# --- The document ----------------------------------------------------------------------------------------------------
case $book in
  moses | deuteronomy_31-34)
    verses=gen1:1-deu34:12
    [[ $book == moses ]] || verses=deu31:1-deu34:12
    defaults=("Who was full of the spirit of wisdom?" "Where was Moses buried?" "What was the age of Moses when he died?")
    ;;
  bible)
    verses=gen1:1-rev22:21
    defaults=("Who is the bright and morning star?" "What proceeded out of the throne of God?"
      "What were the leaves of the tree for?")
    ;;
  '') defaults=("What is this text about?" "Who is named in it?" "How does it end?") ;;
esac
if [[ -n $book ]]; then
  document=$folder/texts/$book.txt
  if [[ ! -s $document ]]; then
    bible -f "$verses" >"$document.new" || die "the bible command failed"
    mv "$document.new" "$document"
  fi
fi
((${#questions[@]})) || questions=("${defaults[@]}")
# The same text always meets the same session.
session=demo-$(sha256sum "$document" | cut -c1-16)
name=$(basename "$document")

# --- The server ------------------------------------------------------------------------------------------------------
model=.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf
log=$folder/server.log server=''
stop_server() {
  local code=$? stopped=0
  [[ -n $server ]] || exit "$code"
  say "stopping the server"
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || stopped=$?
  if ((stopped)); then
    echo "the server ended with code $stopped; its log: $log" >&2
    ((code)) || code=1
  fi
  exit "$code"
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rm -f "$folder/port"
# In a process group of its own, so that Ctrl-C reaches it as an orderly stop at the end.
setsid "$bin/tome-server" --model "$model" --device "$device" --data-dir "$folder/data" --listen 127.0.0.1:0 \
  --metrics-listen 127.0.0.1:0 --port-file "$folder/port" >"$log" 2>&1 {lock}>&- &
server=$!
say "starting tome-server (log: $log)"
begin=$SECONDS
until [[ -s $folder/port ]]; do
  if ! kill -0 "$server" 2>/dev/null; then
    server=''
    tail -n 5 "$log" >&2
    die "the server did not start; its log: $log"
  fi
  ((SECONDS - begin < 120)) || die "the server was not ready after 2 minutes; its log: $log"
  sleep 0.1
done
TOME_SERVER=127.0.0.1:$(sed -n 's/^grpc=//p' "$folder/port")
metrics=http://127.0.0.1:$(sed -n 's/^metrics=//p' "$folder/port")/metrics
export TOME_SERVER
say "it listens on $TOME_SERVER, metrics: $metrics"
"$bin/tome" model

# --- Reading ---------------------------------------------------------------------------------------------------------
# create_session: makes the session where there is none yet.
create_session() {
  local code=0
  "$bin/tome" show "$session" >/dev/null 2>&1 || code=$?
  case $code in
    0) say "session $session is there already; what the server has to read again of it, it reads now" ;;
    3) say "creating session $session"
      "$bin/tome" create --id "$session" --name "$name" ;;
    *) "$bin/tome" show "$session" ;; # shows the error and ends the demo
  esac
}
create_session
say "streaming $name into it ($(wc -c <"$document") bytes)"
"$bin/tome" append "$session" "$document" --document "$name"

# --- Asking ----------------------------------------------------------------------------------------------------------
for question in "${questions[@]}"; do
  say "$question"
  "$bin/tome" ask "$session" "$question" --form qa --max-tokens 60 --cite 3
done

cat >&2 <<END

Below each answer stands what it rests on: regions of the text that were found in all that was read, and read again
with the question. The model is small (135M parameters): look there whether its answer is right.

  text      $document
  data      $folder/data (the session is $session; remove the folder to begin anew)
  log       $log
  programs  $bin/tome-server, $bin/tome
END
