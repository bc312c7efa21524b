#!/usr/bin/env python3
"""Writes tests/golden/rope.json: inverse frequencies and attention scales of rotary embeddings, as `transformers` has
them.

    pip install transformers torch && scripts/golden/rope.py
"""
import json
import pathlib

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

CASES = [
    {"type": "linear", "factor": 4.0},
    {"type": "dynamic", "factor": 2.0, "length": 4096},
    {"type": "dynamic", "factor": 2.0, "length": 20000},
    {"type": "dynamic", "factor": 4.0, "length": 8193},
    # One step of dynamic NTK whose exponent is that of the fixed encoding with a factor of 4.
    {"type": "ntk", "factor": 4.0, "dynamic": 2.0, "length": 20480},
    {"type": "yarn", "factor": 4.0},
    {"type": "yarn", "factor": 16.0, "beta_fast": 16.0, "beta_slow": 2.0},
    {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
]
SHAPES = [{"head_dim": 64, "theta": 100000.0}, {"head_dim": 128, "theta": 500000.0}, {"head_dim": 16, "theta": 10000.0}]
TRAINED = 8192


def main():
    cases = []
    for shape in SHAPES:
        for case in CASES:
            scaling = {key: value for key, value in case.items() if key not in ("type", "length", "dynamic")}
            kind = "dynamic" if case["type"] == "ntk" else case["type"]
            scaling["rope_type"] = kind
            scaling["rope_theta"] = shape["theta"]
            scaling["factor"] = case.get("dynamic", case["factor"])
            if kind in ("yarn", "llama3"):
                scaling["original_max_position_embeddings"] = TRAINED
            config = LlamaConfig(hidden_size=4 * shape["head_dim"], num_attention_heads=4, head_dim=shape["head_dim"],
                                 max_position_embeddings=TRAINED, rope_theta=shape["theta"], rope_scaling=scaling)
            inverse, scale = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=case.get("length"))
            cases.append({**shape, **case, "trained": TRAINED, "inverse": inverse.tolist(), "attention_scale": scale})
    path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "rope.json"
    path.write_text(json.dumps({"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
