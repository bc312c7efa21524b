#!/usr/bin/env python3
"""Golden token ids of small random tokenizer.json files from Hugging Face `tokenizers`, for tests/engine/text.

    python scripts/golden/added_tokens.py [--check] [--seed N] [--count N] [--output FILE]

Needs: tokenizers. Writes tests/golden/tokenizers/added_tokens.json; --check computes everything again and compares.
With another seed, count and output it makes as many others as one likes: TOME_GOLDEN_ADDED_TOKENS=FILE text_test reads
them as well. See tests/golden/README.md for the format.
"""

import argparse
import copy
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer

sys.path.insert(0, str(pathlib.Path(__file__).parent))

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests/golden/tokenizers/added_tokens.json"
SPACE = "\u2581"
SPECIALS = ["<unk>", "<s>", "</s>"]
MERGES = [
    (SPACE, "t"), ("h", "e"), (SPACE, "a"), (SPACE + "t", "he"), ("t", "he"), ("a", "b"), ("ab", "c"), ("b", "c"),
    (SPACE, SPACE), (SPACE + SPACE, SPACE + SPACE), ("a", "a"), ("aa", "a"), ("a", "aa"), ("<", "x"), ("\n", "\n"),
    ("a", SPACE), ("\u00e9", "\u00e9"), ("i", "m"), ("x", ">"), (SPACE, "x"),
]  # fmt: skip
BYTE_MERGES = [("\u0120", "t"), ("h", "e"), ("\u0120t", "he"), ("a", "b"), ("ab", "c"), ("\u0120", "\u0120"), ("a", "a"), ("\u010a", "\u010a")]
# Tokens that meet each other, white space and words in every way.
ADDED = ["<x>", "<x", "<xx>", "ab", "the", " the", "\n\n", "\n", "a b", "\u00e9", "\u4e2d\u6587", "<|im_start|>", "<|im_end|>",
         "[INST]", "im", "  ", "_w_", "x>", SPACE + "a", "1", "q"]  # fmt: skip
FRAGMENTS = ["a", "b", "c", "t", "he", "the", " ", "  ", "\n", "\t", "\u00a0", "\u3000", SPACE, "\u00e9", "e\u0301", "\u4e2d", "\u6587",
             ".", "_", "1", "12", "x", "<", ">", "<0x0A>", "<s>", "</s>", "\U0001f600", "\u200d", "aaaa", "im", "q"]  # fmt: skip
FRAGMENTS += ADDED * 2


def character_base():
    vocab = {}
    for text in SPECIALS + [f"<0x{byte:02X}>" for byte in range(256)]:
        vocab[text] = len(vocab)
    for text in [SPACE, *"abcdehimtx<>.\n\u00e9"] + [left + right for left, right in MERGES]:
        vocab.setdefault(text, len(vocab))
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False}
    return {"model": model | {"vocab": vocab, "merges": [list(merge) for merge in MERGES]}}


def byte_base():
    alphabet = sorted(set(tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    vocab = {text: index for index, text in enumerate(SPECIALS + alphabet)}
    for left, right in BYTE_MERGES:
        vocab.setdefault(left + right, len(vocab))
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {"model": model | {"vocab": vocab, "merges": [list(merge) for merge in BYTE_MERGES]}}


def metaspace(rng, scheme=None):
    scheme = scheme or rng.choice(["first", "always", "never"])
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": rng.random() < 0.3}


def character_patch(rng):
    prepend = {"type": "Prepend", "prepend": SPACE}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    normalizer, pre_tokenizer = rng.choice(
        [
            ([prepend, replace], None),
            ([replace], None),
            ([replace, prepend], metaspace(rng, "never")),
            ([prepend, replace], metaspace(rng)),
            ([replace], metaspace(rng)),
            ([prepend], metaspace(rng)),
            (None, metaspace(rng)),
            (None, metaspace(rng, "first")),
            (None, metaspace(rng, "always")),
        ]
    )
    patch = {"model": {"ignore_merges": rng.random() < 0.3}}
    if normalizer:
        patch["normalizer"] = {"type": "Sequence", "normalizers": normalizer} if rng.random() < 0.5 or len(normalizer) > 1 else normalizer[0]
    if pre_tokenizer:
        patch["pre_tokenizer"] = pre_tokenizer
    return patch


def byte_patch(rng):
    regex = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    split = {"type": "Split", "pattern": {"Regex": rng.choice(["\\p{L}{2}|\\w\\S", "\\s+|\\S+"])}, "behavior": "Isolated", "invert": False}
    plain = regex | {"use_regex": False}
    steps = rng.choice([[regex], [digits, regex], [split, plain], [digits, split, plain]])
    patch = {"model": {"ignore_merges": rng.random() < 0.3}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}
    if rng.random() < 0.2:
        patch["normalizer"] = {"type": "Sequence", "normalizers": []}
    return patch


def flags(rng, likely):
    return {name: rng.random() < likely for name in ("single_word", "lstrip", "rstrip")}


def added_tokens(rng, vocab):
    """Random tokens with random flags; ids as `tokenizers` gives them, so that the file says what it does."""
    tokens = [{"id": vocab[text], "content": text, "special": True, "normalized": False} | flags(rng, 0) for text in SPECIALS]
    fresh = len(vocab)
    for text in rng.sample(ADDED, rng.randint(1, 8)):
        special = rng.random() < 0.3
        token = {"content": text, "special": special, "normalized": rng.random() < (0.1 if special else 0.4)}
        if text in vocab and (special or rng.random() < 0.5):
            continue  # merges that make a special token are refused
        if special and len(text) == 1:
            continue  # a special token that text could make is refused
        tokens.append({"id": vocab.get(text, fresh)} | token | flags(rng, 0.25))
        fresh += text not in vocab
    # Where a token takes the white space after it and another begins with white space the file is refused.
    for normalized in (False, True):
        group = [token for token in tokens if token["normalized"] == normalized and not token["special"]]
        if any(token["content"][0].isspace() for token in tokens if token["normalized"] == normalized):
            for token in group:
                token["rstrip"] = False
    return tokens


def random_text(rng, fragments, count):
    return "".join(rng.choice(fragments) for _ in range(count))


def random_prompt(rng, tokens):
    """Texts and special tokens in turns, as chat templates put them together."""
    specials = [token for token in tokens if token["special"] and not token["single_word"] and not token["normalized"]]
    specials = [token for token in specials if token["content"][0] + token["content"][-1] in ("<>", "[]")]
    if any(token["content"][0].isspace() for token in tokens):  # it would be found again in the white space taken
        specials = [token for token in specials if not token["rstrip"]]
    names = {token["content"] + token["content"].replace(" ", SPACE) for token in tokens if token["special"]}
    plain = [fragment for fragment in FRAGMENTS if not any(set(fragment) & set(name) for name in names)]
    parts = []
    for _ in range(rng.randint(2, 5)):
        parts += [random_text(rng, plain, rng.randint(0, 5)), rng.choice(specials)]
    return parts[rng.randint(0, 1) :] + [random_text(rng, plain, 3)]


def make_family(rng, kind, bases):
    patch = (character_patch if kind == "character" else byte_patch)(rng)
    patch["added_tokens"] = added_tokens(rng, bases[kind]["model"]["vocab"])
    document = copy.deepcopy(bases[kind])
    document["model"] |= patch["model"]
    document |= {key: value for key, value in patch.items() if key != "model"}
    empty = {"version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": None}
    tokenizer = Tokenizer.from_str(json.dumps(empty | {"post_processor": None, "decoder": None} | document))
    for token in patch["added_tokens"]:
        assert tokenizer.token_to_id(token["content"]) == token["id"], token
    tokenizer.encode_special_tokens = True  # look-alikes in a text stay text
    fragments = FRAGMENTS
    if patch["model"]["ignore_merges"]:  # a look-alike that is a whole word would become the special token
        fragments = [fragment for fragment in FRAGMENTS if fragment not in SPECIALS]
    texts = ["", " ", "the", " the"] + [random_text(rng, fragments, rng.randint(1, 16)) for _ in range(10)]
    cases = [[text, tokenizer.encode(text, add_special_tokens=False).ids] for text in texts]
    tokenizer.encode_special_tokens = False
    prompts = []
    for parts in [random_prompt(rng, patch["added_tokens"]) for _ in range(3)]:
        text = "".join(part if isinstance(part, str) else part["content"] for part in parts)
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        prompts.append([[part if isinstance(part, str) else part["id"] for part in parts], ids])
    return {"base": kind, "patch": patch, "texts": cases, "prompts": prompts}


def make(seed, count):
    rng = random.Random(seed)
    bases = {"character": character_base(), "bytes": byte_base()}
    families = [make_family(rng, "bytes" if index % 4 == 3 else "character", bases) for index in range(count)]
    return {
        "format": "tome-golden-added-tokens-1",
        "made_with": {"tokenizers": tokenizers.__version__},
        "bases": bases,
        "families": families,
    }


def to_text(value):
    """JSON with one line for each family, so that changes can be read."""
    head = {key: item for key, item in value.items() if key != "families"}
    lines = [json.dumps(family, separators=(",", ":")) for family in value["families"]]
    return json.dumps(head, separators=(",", ":"))[:-1] + ',\n"families":[\n' + ",\n".join(lines) + "\n]}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is checked in; write nothing")
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--count", type=int, default=64, help="tokenizers")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    arguments = parser.parse_args()
    text = to_text(make(arguments.seed, arguments.count))
    if not arguments.check:
        arguments.output.write_text(text)
    elif arguments.output.read_text() != text:
        sys.exit(f"differs: {arguments.output.name}")


if __name__ == "__main__":
    main()
