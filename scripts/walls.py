#!/usr/bin/env python3
"""Checks the walls between folders: who may include whom, and what no tracked file may hold.

  scripts/walls.py [FOLDER]           FOLDER is a checkout; default: the one this script lies in
  scripts/walls.py --table [FOLDER]   prints the arrows between folders, from the bottom to the top
  scripts/walls.py --write [FOLDER]   writes them into docs/architecture.md, where they are checked

Folders and rooms are found, not listed: every folder with sources below engine/, server/ and client/ is one, and a room
is a header with the sources of its name. Prints one line for each fault and exits 1 when there is one:

- a circle of folders or of rooms
- more rooms in a folder than one can know (16), but for flat lists of alike things
- a family that includes what is not its business: see FAMILIES
- arrows that docs/architecture.md does not show
- libtorch or SentencePiece where they do harm; paths of one machine
"""

import re
import subprocess
import sys
from pathlib import Path

# The families of folders, and what each may include beside its own. The engine's door is engine.h with all that it
# gives on; server and client know the engine by it, and by its folders of plain tools.
TOOLS = ["engine/base", "engine/files"]
WIRE = ["tome/v1", "google/rpc"]
FAMILIES = {
    "engine": [],
    "server": TOOLS + ["DOOR"],
    "server/questions": TOOLS + ["DOOR", "engine/generation/prompt_form.h"],
    "server/rpc": TOOLS + ["DOOR"] + WIRE,
    "client": TOOLS + WIRE,
    "client/evaluation": TOOLS + ["DOOR", "engine/evaluation"] + WIRE,
}
DOOR = "engine/engine.h"
MOST_ROOMS = 16
# Lists of alike things that one reads by name.
FLAT = ["client/command"]

OURS = ("engine/", "server/", "client/", "tests/", "tome/v1/", "google/rpc/")
SOURCES = (".h", ".cc", ".cu", ".cuh")

# libtorch's include folder carries an old Protobuf: only these folders, their tests and the benchmarks may see it.
TORCH = re.compile(r"^(ATen|torch|c10|caffe2)/")
TORCH_FOLDERS = tuple("engine/" + name for name in ("kernels", "model", "attention", "memory", "generation", "evaluation", "training"))

# Paths of some person's or machine's disk. The brackets keep this file from matching itself.
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(?:[h]ome|[r]oot|[U]sers|[w]ork)/[\w.-]+")

# It declares absl::string_view as std::string_view, which Abseil's own header contradicts.
SENTENCEPIECE = "sentencepiece_processor.h"

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
TABLE = re.compile(r"(<!-- arrows: .*? -->\n).*?(<!-- end of arrows -->)", re.DOTALL)
GUIDE = "docs/architecture.md"


def within(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def folder_of(path):
    return path.rpartition("/")[0]


def room_of(path):
    """A header and the sources of its name: the path without its ending."""
    return path.split(".")[0]


def graph_of(includes_of, name_of):
    """The arrows between what `name_of` makes of the sources of our families, without those to itself."""
    arrows = {}
    for path, includes in includes_of.items():
        if not path.startswith(("engine/", "server/", "client/")):
            continue
        targets = arrows.setdefault(name_of(path), set())
        targets |= {name_of(include) for include in includes if include in includes_of} - {name_of(path)}
    return arrows


def circles(arrows):
    """The sets of nodes that reach each other, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(arrows.get(node, ())):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            members = [stack.pop()]
            while members[-1] != node:
                members.append(stack.pop())
            found.append(sorted(members))

    sys.setrecursionlimit(10_000)
    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return [members for members in found if len(members) > 1]


def floors(arrows):
    """How many arrows the longest way down from each folder has."""
    floor = {}

    def of(node):
        if node not in floor:
            floor[node] = 1 + max((of(target) for target in arrows.get(node, ())), default=-1)
        return floor[node]

    for node in arrows:
        of(node)
    return floor


def table(includes_of):
    folders, rooms = graph_of(includes_of, folder_of), graph_of(includes_of, room_of)
    floor = floors(folders)
    lines = ["| floor | folder | rooms | includes |", "|---|---|---|---|"]
    for folder in sorted(folders, key=lambda name: (floor[name], name)):
        count = sum(folder_of(room) == folder for room in rooms)
        targets = ", ".join(sorted(folders[folder])) or "nothing"
        lines.append(f"| {floor[folder]} | `{folder}` | {count} | {targets} |")
    return "\n".join(lines) + "\n"


def structure_errors(includes_of):
    for what, name_of in (("folders", folder_of), ("rooms", room_of)):
        for members in circles(graph_of(includes_of, name_of)):
            yield f"a circle of {what}: {', '.join(members)}"
    rooms = {}
    for room in graph_of(includes_of, room_of):
        rooms.setdefault(folder_of(room), []).append(room)
    for folder, names in sorted(rooms.items()):
        if len(names) > MOST_ROOMS and folder not in FLAT:
            yield f"{folder}: it has {len(names)} rooms, more than {MOST_ROOMS}: part it"


def door_headers(includes_of):
    """engine.h and all headers that it gives on."""
    door, left = set(), [DOOR]
    while left:
        header = left.pop()
        if header in door:
            continue
        door.add(header)
        left += [include for include in includes_of.get(header, ()) if include in includes_of]
    return door


def family_errors(includes_of):
    door = door_headers(includes_of)
    for path, includes in includes_of.items():
        keys = [key for key in FAMILIES if within(path, [key])]
        if not keys:
            continue
        home = max(keys, key=len)
        for include in includes:
            own = include.startswith(home.split("/")[0] + "/")
            if not include.startswith(OURS) or own or within(include, FAMILIES[home]):
                continue
            if include not in door or "DOOR" not in FAMILIES[home]:
                yield f"{path}: includes {include}, but {home} may only include {', '.join(FAMILIES[home]) or 'itself'}"


def guide_errors(root, includes_of):
    guide = root / GUIDE
    shown = TABLE.search(guide.read_text(encoding="utf-8")) if guide.is_file() else None
    if shown is None:
        yield f"{GUIDE}: it has no table of arrows"
    elif shown[0] != shown[1] + table(includes_of) + shown[2]:
        yield f"{GUIDE}: its table of arrows is not that of the sources: scripts/walls.py --write"


def torch_errors(path, includes):
    allowed = within(path.removeprefix("tests/"), TORCH_FOLDERS) or within(path, ["tests/benchmarks"])
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


def read_tree(root):
    """The text of each tracked or new file that git does not ignore."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True).stdout
    for path in sorted(filter(None, listing.decode().split("\0"))):
        if not (root / path).is_file():
            continue  # deleted, not yet committed
        try:
            yield path, (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary


def main():
    options = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    root = Path(arguments[0] if arguments else Path(__file__).resolve().parent.parent)
    errors, includes_of = [], {}
    for path, text in read_tree(root):
        errors += [f"{path}: names a path of one machine: {found[0]}" for found in MACHINE_PATH.finditer(text)]
        if path.endswith(SOURCES):
            includes_of[path] = INCLUDE.findall(text)
            errors += torch_errors(path, includes_of[path])
    errors += structure_errors(includes_of)
    if not errors and options:
        if "--table" in options:
            print(table(includes_of), end="")
        if "--write" in options:
            guide = (root / GUIDE).read_text(encoding="utf-8")
            (root / GUIDE).write_text(TABLE.sub(lambda old: old[1] + table(includes_of) + old[2], guide), encoding="utf-8")
    errors += family_errors(includes_of)
    errors += guide_errors(root, includes_of)
    errors += sentencepiece_errors(includes_of)
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
