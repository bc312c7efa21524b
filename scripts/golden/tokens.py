#!/usr/bin/env python3
"""Golden token ids from Hugging Face `tokenizers` and SentencePiece, for tests/engine/text.

    python scripts/golden/tokens.py [--check] [--only FILE] [--model GGUF] [--data FOLDER]

Needs: tokenizers, sentencepiece, gguf, transformers, jinja2. Writes tests/golden/tokenizers/; --check computes
everything again and compares. See tests/golden/README.md for the format.
"""

import argparse
import hashlib
import json
import pathlib
import struct
import sys

import gguf
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hard_texts  # noqa: E402
import prompts  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/tokenizers"
MAX_IDS = 120  # longer results are stored as count and digest

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Leaves gaps between its matches, and is cut at digits first.
GAPS_PATTERN = r"\p{L}{2}|[\r\n]+|\w\S"
USER_DEFINED = ["<think>", "</think>", "<think", "a user 1", "\n\n\n", "\u00e9\u4e2d"]


# Types of SentencePiece's pieces.
NORMAL, UNKNOWN, CONTROL, UNUSED, BYTE = 1, 2, 3, 5, 6


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()


def summary(ids):
    return {"count": len(ids), "sha256": digest(ids)}


def short(ids):
    return ids if len(ids) <= MAX_IDS else summary(ids)


class ByteLevel:
    """A byte-level BPE with the demo model's vocabulary."""

    def __init__(self, model_path, pre_tokenizer, ignore_merges=False, user_defined=()):
        fields = gguf.GGUFReader(model_path).fields
        pieces = fields["tokenizer.ggml.tokens"].contents()
        types = fields["tokenizer.ggml.token_type"].contents()
        merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
        vocabulary = {piece: index for index, piece in enumerate(pieces)}
        self.tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=ignore_merges))
        self.tokenizer.pre_tokenizer = pre_tokenizer
        special = [AddedToken(piece, special=True) for piece, kind in zip(pieces, types) if kind == 3]
        self.tokenizer.add_special_tokens(special)
        self.tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in user_defined])
        self.tokenizer.encode_special_tokens = True  # look-alikes in a text stay text

    def __call__(self, data):
        return self.tokenizer.encode(data.decode("utf-8", errors="replace"), add_special_tokens=False).ids


class SentencePiece:
    def __init__(self, serialized_model):
        self.processor = sentencepiece.SentencePieceProcessor()
        self.processor.LoadFromSerializedProto(serialized_model)

    def __call__(self, data):
        return self.processor.encode(data, out_type=int)


def field(number, value):
    """A field of a Protobuf message: bytes, float or unsigned integer."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def varint(value):
    more = value >> 7
    return bytes([value & 127 | (128 if more else 0)]) + (varint(more) if more else b"")


def llama2c_model(path, byte_fallback=True):
    """llama2.c's tokenizer.bin as a SentencePiece model; without byte fallback its byte pieces are unused."""
    data = path.read_bytes()
    model = b""
    offset, index = 4, 0
    while offset < len(data):
        score, size = struct.unpack_from("<fi", data, offset)
        text = data[offset + 8 : offset + 8 + size].decode()
        offset += 8 + size
        kind = {0: UNKNOWN, 1: CONTROL, 2: CONTROL}.get(index, BYTE if index < 259 else NORMAL)
        if kind == BYTE and not byte_fallback:
            kind = UNUSED
        piece = text.strip() if index < 3 else text.replace(" ", "\u2581")
        model += field(1, field(1, piece.encode()) + field(2, score) + field(3, kind))
        index += 1
    trainer = field(3, 2) + field(35, int(byte_fallback))  # model_type BPE
    normalizer = field(4, 0)  # remove_extra_whitespaces
    return model + field(2, trainer) + field(3, normalizer)


def make_tokenizers(model_path, data):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    llama3 = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated")
    gaps = pre_tokenizers.Split(Regex(GAPS_PATTERN), behavior="isolated")
    smollm = pre_tokenizers.Sequence([digits, byte_level])
    return {
        "smollm2": ByteLevel(model_path, smollm),
        "gpt2": ByteLevel(model_path, byte_level),
        "llama3": ByteLevel(model_path, pre_tokenizers.Sequence([llama3, bytes_only]), ignore_merges=True),
        "gaps": ByteLevel(model_path, pre_tokenizers.Sequence([digits, gaps, bytes_only])),
        "user_defined": ByteLevel(model_path, smollm, user_defined=USER_DEFINED),
        "mistral": SentencePiece((data / "tokenizers/mistral_v1.model").read_bytes()),
        "llama2c": SentencePiece(llama2c_model(data / "models/llama2c_tok512.bin")),
        "llama2c_no_bytes": SentencePiece(llama2c_model(data / "models/llama2c_tok512.bin", byte_fallback=False)),
    }


def whole_texts(encoders, data):
    texts = {}
    for path in sorted(data.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        texts[str(path.relative_to(data))] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "tokens": {name: summary(encoders[name](content)) for name in encoders_of(content)},
        }
        print(path.name, file=sys.stderr)
    return {"texts": texts}


def encoders_of(content):
    return ["smollm2", "gpt2", "llama3", "mistral"] + (["llama2c"] if len(content) < 500_000 else [])


def code_points():
    """Every code point between letters, digits, spaces and its like, in blocks."""
    blocks = {}
    for block in range(0, 0x110000, 0x2000):
        if block >= 0x40000 and block != 0xE0000:
            continue
        text = "".join(
            f"a{c}{c} {c}1{c}'{c}.\n{c}  {c}" for c in map(chr, range(block, block + 0x2000)) if not 0xD800 <= ord(c) < 0xE000
        )
        blocks[f"{block:X}"] = text.encode()
    return blocks


def hard_cases(encoders):
    cases = []
    for name, parts in hard_texts.CASES.items():
        content = b"".join(part * count for part, count in parts)
        tokens = {encoder: short(encode(content)) for encoder, encode in encoders.items()}
        cases.append({"name": name, "parts": [[part.hex(), count] for part, count in parts], "tokens": tokens})
    return {"cases": cases}


def code_point_blocks(encoders):
    texts = code_points().items()
    return {"blocks": {block: {name: digest(encode(text)) for name, encode in encoders.items()} for block, text in texts}}


def to_text(value):
    """JSON with one line for each entry of the main list, so that changes can be read."""
    lines = json.dumps(value, ensure_ascii=True, indent=1).splitlines()
    merged = []
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if depth > 2 or (depth == 2 and line.strip()[0] in "]}"):
            merged[-1] += ("" if merged[-1].endswith(("[", "{")) or line.strip()[0] in "]}" else " ") + line.strip()
        else:
            merged.append(line)
    return "\n".join(merged) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is checked in; write nothing")
    parser.add_argument("--model", default=str(ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--only", help="make just this file: hard, code_points, prompts or texts (minutes)")
    arguments = parser.parse_args()
    encoders = make_tokenizers(arguments.model, arguments.data)
    makers = {
        "hard": lambda: hard_cases(encoders),
        "code_points": lambda: code_point_blocks(encoders),
        "prompts": lambda: prompts.build(arguments.model, encoders),
        "texts": lambda: whole_texts(encoders, arguments.data),
    }
    versions = {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__}
    failed = []
    for name, make in makers.items():
        if arguments.only not in (None, name):
            continue
        path = FOLDER / f"{name}.json"
        text = to_text({"format": "tome-golden-tokens-1", "made_with": versions} | make())
        if not arguments.check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif path.read_text() != text:
            failed.append(path.name)
    sys.exit("differ: " + ", ".join(failed) if failed else 0)


if __name__ == "__main__":
    main()
