#!/usr/bin/env python3
"""Makes tests/golden/perplexity.json: losses by sliding windows, with Hugging Face transformers in fp32.

  .deps/peers/bin/python scripts/golden/perplexity.py

The tokens are those of the case "tokens_2000" of tests/golden/logits/smollm2.json. A window's loss is the sum over the
tokens that no window before it scored, as in transformers' own example of sliding windows.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"
RUNS = [{"context": 512, "stride": 384}, {"context": 1024, "stride": 512}]
SCALINGS = {"own": None, "linear(2)": {"rope_type": "linear", "factor": 2.0}, "yarn(2)": {"rope_type": "yarn", "factor": 2.0}}


def window_losses(model, tokens, context, stride):
    windows, scored_end = [], 1
    for first in range(0, len(tokens), stride):
        end = min(first + context, len(tokens))
        ids = torch.tensor([tokens[first:end]])
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0].float()
        losses = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none").double()
        begin = max(scored_end, first + 1)
        windows.append({"first_token": begin, "scored": end - begin, "nats": float(losses[begin - first - 1 :].sum())})
        scored_end = end
        if end == len(tokens):
            break
    return windows


def main():
    cases = json.loads((ROOT / "tests/golden/logits/smollm2.json").read_text())["cases"]
    tokens = next(case["tokens"] for case in cases if case["name"] == "tokens_2000")
    runs = []
    for encoding, scaling in SCALINGS.items():
        model = AutoModelForCausalLM.from_pretrained(MODEL.parent, gguf_file=MODEL.name, dtype=torch.float32).eval()
        if scaling is not None:
            config = model.config
            parameters = {**scaling, "rope_theta": config.rope_parameters["rope_theta"]}
            if scaling["rope_type"] == "yarn":
                parameters["original_max_position_embeddings"] = config.max_position_embeddings
                config.max_position_embeddings *= 2
            config.rope_parameters = parameters
            model.model.rotary_emb = type(model.model.rotary_emb)(config)
        for run in RUNS if scaling is None else RUNS[:1]:
            print(encoding, run, file=sys.stderr)
            runs.append({**run, "encoding": encoding, "windows": window_losses(model, tokens, **run)})
    path = ROOT / "tests/golden/perplexity.json"
    path.write_text(json.dumps({"case": "tokens_2000", "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
