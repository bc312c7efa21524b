#!/usr/bin/env python3
"""Makes the golden logits that the engine's forward pass is tested against, with Hugging Face transformers in fp32.

  .deps/peers/bin/python scripts/golden/logits.py            write tests/golden/logits/ and tests/golden/tiny_llama/
  .deps/peers/bin/python scripts/golden/logits.py --check    compute again and compare, write nothing

scripts/setup-peers.sh makes the environment. tests/golden/README.md tells the format.
"""

import argparse
import hashlib
import json
import math
import random
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaConfig

sys.path.insert(0, str(Path(__file__).parent))
import texts  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"
GOLDEN = ROOT / "tests/golden"
TINY = GOLDEN / "tiny_llama"
FORMAT = "tome-golden-logits-1"
DECIMALS = 5
CHECK_TOLERANCE = 2e-4


# --- Values of one text ----------------------------------------------------------------------------------------------


def spread_positions(count, wanted):
    """Indices 0..count-1: first, last and others evenly between them."""
    if count <= wanted:
        return list(range(count))
    return sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})


def rounded(values):
    return [round(float(value), DECIMALS) for value in values]


def golden_case(model, name, tokens, vocabulary_ids, wanted_positions, text=None):
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0]
    assert logits.dtype == torch.float32 and torch.isfinite(logits).all()
    positions = []
    for position in spread_positions(len(tokens), wanted_positions):
        row = logits[position]
        best = torch.topk(row, 5)
        positions.append(
            {
                "position": position,
                "logits": rounded(row[vocabulary_ids]),
                "top5_ids": best.indices.tolist(),
                "top5_logits": rounded(best.values),
                "logsumexp": round(float(torch.logsumexp(row.double(), 0)), DECIMALS),
            }
        )
    case = {"name": name, "tokens": tokens, "top1_ids": logits.argmax(-1).tolist(), "positions": positions}
    if text is not None:
        case["text"] = text
    return case


def golden_file(model_facts, vocabulary_ids, cases):
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    return {
        "format": FORMAT,
        "made_with": versions,
        "model": model_facts,
        "vocabulary_ids": vocabulary_ids,
        "cases": cases,
    }


# --- SmolLM2 from its GGUF file --------------------------------------------------------------------------------------


def check_dequantised(model, path):
    """Every weight that transformers made of the file equals gguf's own dequantisation."""
    state = model.state_dict()
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    names = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    outer = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    tensors = gguf.GGUFReader(path).tensors
    for tensor in tensors:
        ours = gguf.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name in outer:
            name = outer[tensor.name]
        else:
            _, layer, kind, _ = tensor.name.split(".")
            name = f"model.layers.{layer}.{names[kind]}.weight"
            if kind in heads:  # GGUF interleaves the two halves of each head's rotation
                rows, columns = ours.shape
                half = rows // heads[kind] // 2
                ours = ours.reshape(heads[kind], half, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        assert np.array_equal(state[name].numpy(), ours), f"{tensor.name}: differs from {name}"
    print(f"{len(tensors)} tensors equal gguf's dequantisation bit for bit")


def smollm2_golden():
    model = AutoModelForCausalLM.from_pretrained(
        SMOLLM2.parent,
        gguf_file=SMOLLM2.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        attn_implementation="eager",
    ).eval()
    check_dequantised(model, SMOLLM2)
    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name)

    def encode(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    long_a, long_b = encode(texts.prose(1, 80)), encode(texts.prose(2, 220))
    rng = random.Random(7)
    vocabulary_ids = sorted({0, 1, 2, 49151} | set(rng.sample(range(3, 49151), 60)))
    cases = [
        golden_case(model, f"{name}", encode(text), vocabulary_ids, 8, text) for name, text in texts.SHORT.items()
    ]
    lengths = [(long_a, 1), (long_a, 2), (long_a, 17), (long_a, 511), (long_a, 512), (long_a, 513), (long_b, 2000)]
    for tokens, length in lengths:
        assert len(tokens) >= length, f"the text has only {len(tokens)} tokens"
        cases.append(golden_case(model, f"tokens_{length}", tokens[:length], vocabulary_ids, 8))
    facts = {"file": SMOLLM2.name, "sha256": hashlib.sha256(SMOLLM2.read_bytes()).hexdigest()}
    return {"smollm2.json": golden_file(facts, vocabulary_ids, cases)}


# --- A small random model with other shapes --------------------------------------------------------------------------

TINY_BASE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 320,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "dtype": "bfloat16",
}
# As published models write them: the old "type" and the newer "rope_type" inside "rope_scaling", and "rope_parameters"
# of transformers 5, which also holds rope_theta.
TINY_VARIANTS = {
    "none": {"rope_scaling": None},
    "linear": {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "llama3": {
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "yarn": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
    "yarn_parameters": {
        "rope_theta": None,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 20000.0,
            "factor": 4.0,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
            "attention_factor": 1.25,
            "original_max_position_embeddings": 16,
        },
    },
    "dynamic": {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "dynamic_beyond": {"max_position_embeddings": 16, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
}


def tiny_config(variant):
    config = {**TINY_BASE, **TINY_VARIANTS[variant]}
    if config["rope_theta"] is None:
        del config["rope_theta"]
    return config


def tiny_weights():
    """Random, but large enough that attention is peaked, positions matter and logits differ by several units."""
    generator = torch.Generator().manual_seed(20240611)

    def matrix(rows, columns, gain=1.0):
        return (torch.randn(rows, columns, generator=generator) * gain / math.sqrt(columns)).to(torch.bfloat16)

    def norm(size):
        return (1 + 0.2 * torch.randn(size, generator=generator)).to(torch.bfloat16)

    base = TINY_BASE
    hidden, ffn = base["hidden_size"], base["intermediate_size"]
    queries = base["num_attention_heads"] * base["head_dim"]
    keys = base["num_key_value_heads"] * base["head_dim"]
    weights = {"model.embed_tokens.weight": matrix(base["vocab_size"], hidden, 4.0)}
    for layer in range(base["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        weights |= {
            prefix + "input_layernorm.weight": norm(hidden),
            prefix + "self_attn.q_proj.weight": matrix(queries, hidden, 1.6),
            prefix + "self_attn.k_proj.weight": matrix(keys, hidden, 1.6),
            prefix + "self_attn.v_proj.weight": matrix(keys, hidden),
            prefix + "self_attn.o_proj.weight": matrix(hidden, queries),
            prefix + "post_attention_layernorm.weight": norm(hidden),
            prefix + "mlp.gate_proj.weight": matrix(ffn, hidden, 1.5),
            prefix + "mlp.up_proj.weight": matrix(ffn, hidden, 1.5),
            prefix + "mlp.down_proj.weight": matrix(hidden, ffn),
        }
    return weights | {"model.norm.weight": norm(hidden), "lm_head.weight": matrix(base["vocab_size"], hidden, 2.0)}


def tiny_tokenizer():
    """Byte-level BPE: 2 special tokens, 256 bytes, 62 merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_BASE["vocab_size"],
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([texts.prose(3, 60)], trainer)
    assert tokenizer.get_vocab_size() == TINY_BASE["vocab_size"]
    return tokenizer


def write_tiny_model(folder):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tiny_weights(), folder / "model.safetensors", metadata={"format": "pt"})
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    for variant in TINY_VARIANTS:
        name = "config.json" if variant == "none" else f"config.{variant}.json"
        (folder / name).write_text(json.dumps(tiny_config(variant), indent=2) + "\n")


def load_tiny_model(folder, variant):
    """transformers' model of the files as they lie in the folder, with one of its configurations."""
    name = "config.json" if variant == "none" else f"config.{variant}.json"
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(folder / "model.safetensors", scratch)
        shutil.copy(folder / name, Path(scratch) / "config.json")
        config = LlamaConfig.from_pretrained(scratch)
        return AutoModelForCausalLM.from_pretrained(
            scratch, config=config, dtype=torch.float32, attn_implementation="eager"
        ).eval()


def tiny_golden(folder):
    rng = random.Random(11)
    text = texts.prose(4, 12)
    tokens = tiny_tokenizer().encode(text).ids[:40]
    vocabulary_ids = sorted(rng.sample(range(TINY_BASE["vocab_size"]), 32))
    files = {}
    for variant in TINY_VARIANTS:
        config_name = "config.json" if variant == "none" else f"config.{variant}.json"
        facts = {"folder": TINY.name, "config": config_name}
        cases = [golden_case(load_tiny_model(folder, variant), variant, tokens, vocabulary_ids, 40)]
        files[f"tiny_llama.{variant}.json"] = golden_file(facts, vocabulary_ids, cases)
    return files


# --- Writing and comparing -------------------------------------------------------------------------------------------


def dump(value, indent=0):
    """JSON with one line for each list of numbers."""
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(key)}: {dump(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(pad + dump(item, indent + 1) for item in value) + "\n" + " " * indent + "]"
    return json.dumps(value, separators=(",", ":"))


def largest_difference(old, new, where=""):
    """Of two JSON values with the same structure; other differences raise."""
    if isinstance(old, float) or isinstance(new, float):
        return abs(old - new)
    if isinstance(old, dict):
        assert old.keys() == new.keys(), where
        return max((largest_difference(old[key], new[key], f"{where}.{key}") for key in old), default=0)
    if isinstance(old, list):
        assert len(old) == len(new), where
        return max((largest_difference(a, b, where) for a, b in zip(old, new)), default=0)
    assert old == new, f"{where}: {old} became {new}"
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files, write nothing")
    arguments = parser.parse_args()
    if not arguments.check:
        write_tiny_model(TINY)
    files = {**tiny_golden(TINY), **smollm2_golden()}
    worst = 0.0
    for name, content in files.items():
        path = GOLDEN / "logits" / name
        if arguments.check:
            difference = largest_difference(json.loads(path.read_text()), json.loads(dump(content)), name)
            worst = max(worst, difference)
            print(f"{name}: largest difference {difference:.2g}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dump(content) + "\n")
            print(f"wrote {path.relative_to(ROOT)} ({path.stat().st_size} bytes)")
    return 0 if worst <= CHECK_TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
