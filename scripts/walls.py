#!/usr/bin/env python3
"""Checks the walls between the folders: who may include whom, and what no tracked file may hold.

  scripts/walls.py [FOLDER]     FOLDER is a checkout; default: the one this script lies in

Prints one line for each crossing and exits 1 when there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

# Which folders the sources of a folder may include from; itself is always allowed. The longest key wins. The engine's
# parts never look back: evaluation -> generation -> memory -> attention -> model -> checkpoint, text -> base.
# The door is engine.h with the headers that it gives on.
DOOR = [
    "engine/engine.h",
    "engine/checkpoint/llama_config.h",
    "engine/text/chat_template.h",
    "engine/text/detokenizer.h",
    "engine/text/tokenizer.h",
]
BASE = ["engine/base"]
DATA = BASE + ["engine/text", "engine/checkpoint"]
ALLOWED = {
    "engine/base": [],
    "engine/text": BASE,
    "engine/checkpoint": BASE + ["engine/text"],
    "engine/model": DATA + DOOR,
    "engine/attention": DATA + DOOR + ["engine/model"],
    "engine/memory": DATA + DOOR + ["engine/model", "engine/attention"],
    "engine/generation": DATA + DOOR + ["engine/model", "engine/attention", "engine/memory"],
    "engine/evaluation": DATA + DOOR + ["engine/model", "engine/attention", "engine/memory", "engine/generation"],
    "engine": DATA,
    "server/telemetry": BASE,
    "server/scheduling": BASE + DOOR + ["server/telemetry"],
    "server/session": BASE + DOOR + ["engine/generation/prompt_form.h", "server/telemetry", "server/scheduling"],
    "server/rpc": BASE + DOOR + ["server/telemetry", "server/scheduling", "server/session", "tome/v1", "google/rpc"],
    "server": BASE + DOOR + ["server/telemetry", "server/scheduling", "server/session", "server/rpc"],
    "client": BASE + ["tome/v1", "google/rpc"],
    "client/evaluation": BASE + DOOR + ["engine/evaluation", "client", "tome/v1", "google/rpc"],
}
OURS = ("engine/", "server/", "client/", "tests/", "tome/v1/", "google/rpc/")

# libtorch's include folder carries an old Protobuf: only these folders, their tests and the benchmarks may see it.
TORCH = re.compile(r"^(ATen|torch|c10|caffe2)/")
TORCH_FOLDERS = ("engine/model", "engine/attention", "engine/memory", "engine/generation", "engine/evaluation")

# Paths of some person's or machine's disk. The brackets keep this file from matching itself.
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(?:[h]ome|[r]oot|[U]sers|[w]ork)/[\w.-]+")

# It declares absl::string_view as std::string_view, which Abseil's own header contradicts.
SENTENCEPIECE = "sentencepiece_processor.h"

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def within(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def layering_errors(path, includes):
    keys = [key for key in ALLOWED if within(path, [key])]
    if not keys:
        return
    home = max(keys, key=len)
    for include in includes:
        if include.startswith(OURS) and not within(include, [home] + ALLOWED[home]):
            yield f"{path}: includes {include}, but {home} may only include {', '.join(ALLOWED[home]) or 'itself'}"


def torch_errors(path, includes):
    below_tests = path.removeprefix("tests/")
    allowed = within(path, (*TORCH_FOLDERS, "tests/benchmarks")) or within("engine/" + below_tests, TORCH_FOLDERS)
    for include in includes:
        if TORCH.match(include) and not allowed:
            yield f"{path}: includes <{include}>, a libtorch header, outside {', '.join(TORCH_FOLDERS)}"


def sentencepiece_errors(includes_of):
    users = [path for path, includes in includes_of.items() if SENTENCEPIECE in includes]
    if len(users) > 1:
        yield f"the SentencePiece header is included by {len(users)} files, one is allowed: {', '.join(users)}"
    for path in users:
        if not path.endswith(".cc"):
            yield f"{path}: a header includes SentencePiece's; its string_view clashes with Abseil's"
        for include in includes_of[path]:
            if include.startswith("absl/"):
                yield f"{path}: includes both SentencePiece and {include}; their string_view types clash"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True).stdout
    errors, includes_of = [], {}
    for path in sorted(filter(None, listing.decode().split("\0"))):
        if not (root / path).is_file():
            continue  # deleted, not yet committed
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary
        errors += [f"{path}: names a path of one machine: {found[0]}" for found in MACHINE_PATH.finditer(text)]
        if path.endswith((".h", ".cc", ".cu", ".cuh")):
            includes_of[path] = INCLUDE.findall(text)
            errors += layering_errors(path, includes_of[path])
            errors += torch_errors(path, includes_of[path])
    errors += sentencepiece_errors(includes_of)
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
