#!/usr/bin/env python3
"""Makes the gradients and losses that training is tested against, with transformers and PEFT: gradients in fp64, steps in fp32.

  .deps/peers/bin/python scripts/golden/training.py            write tests/golden/training/
  .deps/peers/bin/python scripts/golden/training.py --check    compute again and compare, write nothing

scripts/setup-peers.sh makes the environment. tests/golden/README.md tells the format.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/golden/tiny_llama"
ADAPTERS = ROOT / "tests/golden/adapters"
GOLDEN = ROOT / "tests/golden/training"
FORMAT = "tome-golden-training-1"
# Tokens, and the first of them that is learnt.
SEQUENCES = [
    ([(i * 37 + 11) % 320 for i in range(24)], 1),
    ([(i * 53 + 7) % 320 for i in range(18)], 10),
    ([(i * 91 + 3) % 320 for i in range(31)], 20),
    ([(i * 29 + 19) % 320 for i in range(12)], 11),
]
GRADIENTS_OF = [0, 1]
OUTPUT_ROWS = 16  # whose gradients are kept of the output layer; of the embedding those of tokens that occur
STEPS, LEARNING_RATE, WEIGHT_DECAY, CLIP = 10, 2e-3, 0.05, 1.0


def adapted(name, dtype):
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=dtype, attn_implementation="eager")
    return PeftModel.from_pretrained(base, ADAPTERS / name, is_trainable=True).to(dtype).train()


def loss_of(model, indices):
    """The mean over all tokens that count."""
    nats, counted = 0, 0
    for tokens, first in (SEQUENCES[index] for index in indices):
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0]
        targets = torch.tensor(tokens)[first:]
        nats = nats + torch.nn.functional.cross_entropy(logits[first - 1 : -1], targets, reduction="sum")
        counted += len(targets)
    return nats / counted


def plain_name(name):
    """As the tensors of adapter files are called, without the prefix."""
    name = name.removeprefix("base_model.model.").replace(".default", "").replace(".modules_to_save", "")
    return name


def kept(name, gradient):
    if name == "lm_head.weight":
        return gradient[:OUTPUT_ROWS].clone()
    if name == "model.embed_tokens.weight":
        rows = sorted({token for index in GRADIENTS_OF for token in SEQUENCES[index][0][:-1]})
        return gradient[rows].clone()
    return gradient.clone()


def gradients(name):
    model = adapted(name, torch.float64)
    loss = loss_of(model, GRADIENTS_OF)
    loss.backward()
    tensors = {plain_name(n): kept(plain_name(n), p.grad).float() for n, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), tensors


def ten_steps(name):
    model = adapted(name, torch.float32)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
    )
    losses, norms = [], []
    for step in range(STEPS):
        loss = loss_of(model, [step % 4, (step + 1) % 4])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, CLIP)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return {"losses": losses, "gradient_norms": norms}


def compute():
    facts = {
        "format": FORMAT,
        "sequences": [{"tokens": tokens, "first_counted": first} for tokens, first in SEQUENCES],
        "gradients_of": GRADIENTS_OF,
        "output_rows": OUTPUT_ROWS,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "clip_norm": CLIP,
        "loss": {},
        "steps": {},
    }
    tensors = {}
    for name in ["plain", "trained"]:
        facts["loss"][name], tensors[name] = gradients(name)
        facts["steps"][name] = ten_steps(name)
    return facts, tensors


def check(facts, tensors):
    known = json.loads((GOLDEN / "training.json").read_text())
    worst = max(
        abs(a - b) for name in tensors for a, b in zip(facts["steps"][name]["losses"], known["steps"][name]["losses"])
    )
    for name, made in tensors.items():
        for key, value in load_file(GOLDEN / f"gradients.{name}.safetensors").items():
            worst = max(worst, float((made[key] - value).norm() / value.norm()))
    print(f"largest difference {worst:.1e}")
    return 0 if worst < 1e-5 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    torch.manual_seed(0)
    arguments = parser.parse_args()
    facts, tensors = compute()
    if arguments.check:
        return check(facts, tensors)
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "training.json").write_text(json.dumps(facts) + "\n")
    for name, made in tensors.items():
        path = GOLDEN / f"gradients.{name}.safetensors"
        save_file(made, path, metadata={"format": "pt"})
        path.chmod(0o644)
    return 0


if __name__ == "__main__":
    sys.exit(main())
