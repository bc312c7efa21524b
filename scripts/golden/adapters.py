#!/usr/bin/env python3
"""Makes the adapters that the engine's readers are tested with, as PEFT itself writes them, and what they must give.

  .deps/peers/bin/python scripts/golden/adapters.py            write tests/golden/adapters/
  .deps/peers/bin/python scripts/golden/adapters.py --check    compute the logits of the files there again and compare

scripts/setup-peers.sh makes the environment. tests/golden/README.md tells the format.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/golden/tiny_llama"
GOLDEN = ROOT / "tests/golden/adapters"
FORMAT = "tome-golden-adapters-1"
DECIMALS = 5
TOLERANCE = 2e-5
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL = ATTENTION + ["gate_proj", "up_proj", "down_proj"]
TOKENS = [(i * 37 + 11) % 320 for i in range(24)]
POSITIONS = [0, 1, 7, 23]

CONFIGS = {
    "plain": LoraConfig(r=4, lora_alpha=6, target_modules=ALL),
    "patterns": LoraConfig(
        r=4,
        lora_alpha=8,
        lora_dropout=0.1,
        target_modules=ALL,
        rank_pattern={"layers.1.self_attn.q_proj": 2, "down_proj": 3},
        alpha_pattern={r"layers\.[01]\.self_attn\.k_proj": 2, "v_proj": 5},
    ),
    "rslora": LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj"]),
    "one_layer": LoraConfig(r=2, lora_alpha=2, target_modules=["o_proj", "k_proj"], layers_to_transform=[1]),
    # Hits every norm, as PEFT compares the ends of names.
    "trained": LoraConfig(
        r=2, lora_alpha=4, target_modules=["k_proj", "o_proj"], modules_to_save=["embed_tokens", "norm", "lm_head"]
    ),
    "trained_norms": LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["input_layernorm", "post_attention_layernorm", "model.norm"],
    ),
}
BF16 = {"rslora", "trained"}


def base_model():
    return AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32, attn_implementation="eager").eval()


def randomised(model, seed):
    """PEFT begins with B = 0, which would test nothing."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if "lora_" in name:
            parameter.data = noise * 0.3
        else:
            parameter.data = parameter.data * (1 + 0.1 * noise)
        parameter.data = parameter.data.to(torch.bfloat16).float()
    return model


def as_bf16(path):
    tensors = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():
            tensors[name] = file.get_tensor(name).to(torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})


def write_adapters(target):
    for seed, (name, config) in enumerate(CONFIGS.items()):
        model = randomised(get_peft_model(base_model(), config), 100 + seed)
        model.save_pretrained(target / name)
        (target / name / "README.md").unlink(missing_ok=True)
        if name in BF16:
            as_bf16(target / name / "adapter_model.safetensors")
        config_path = target / name / "adapter_config.json"
        text = json.loads(config_path.read_text())
        text["base_model_name_or_path"] = "tiny_llama"
        text["target_modules"].sort()  # a set, in any order
        config_path.write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")


def interleaved(rows, heads):
    """From halves order to GGUF's, as llama.cpp's converter does with q and k."""
    count, columns = rows.shape
    return rows.reshape(heads, 2, count // heads // 2, columns).swapaxes(1, 2).reshape(count, columns)


def write_gguf(source, target):
    """What llama.cpp's convert_lora_to_gguf.py makes of a plain adapter."""
    names = dict(zip(ALL, ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]))
    config = json.loads((TINY / "config.json").read_text())
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", json.loads((source / "adapter_config.json").read_text())["lora_alpha"])
    with safe_open(source / "adapter_model.safetensors", "np") as file:
        for name in file.keys():
            parts = name.split(".")
            layer, kind, half = parts[4], names[parts[6]], parts[7]
            values = file.get_tensor(name)
            if half == "lora_B" and kind in heads:
                values = interleaved(values, heads[kind])
            writer.add_tensor(f"blk.{layer}.{kind}.weight.{half.lower()}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def logits_of(folder):
    model = PeftModel.from_pretrained(base_model(), folder).eval()
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS]), use_cache=False).logits[0]
    assert torch.isfinite(logits).all()
    return [[round(float(value), DECIMALS) for value in logits[position]] for position in POSITIONS]


def golden(folder):
    return {
        "format": FORMAT,
        "made_with": {
            "peft": peft.__version__,
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
        },
        "tokens": TOKENS,
        "positions": POSITIONS,
        "logits": {name: logits_of(folder / name) for name in CONFIGS},
    }


def check():
    known = json.loads((GOLDEN / "logits.json").read_text())["logits"]
    worst = 0.0
    for folder in [GOLDEN / name for name in CONFIGS] + sorted((GOLDEN / "written").iterdir()):
        for row, expected in zip(logits_of(folder), known[folder.name]):
            worst = max([worst] + [abs(a - b) for a, b in zip(row, expected)])
    print(f"{len(known)} adapters, largest difference {worst:.1e}")
    return 0 if worst <= TOLERANCE else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    if parser.parse_args().check:
        return check()
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "adapters"
        write_adapters(made)
        write_gguf(made / "plain", made / "plain.gguf")
        (made / "logits.json").write_text(json.dumps(golden(made), separators=(",", ":")) + "\n")
        if (GOLDEN / "written").is_dir():
            shutil.copytree(GOLDEN / "written", made / "written")
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(made, GOLDEN, copy_function=shutil.copyfile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
