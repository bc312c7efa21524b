#!/usr/bin/env python3
"""Writes tests/golden/dequantization.json: random blocks of every quantised type and the values that the `gguf`
package (ggml's own Python reference) gives for them.

    pip install gguf==0.19.0 && scripts/golden/dequantization.py

Random bytes reach every combination of packed scales and bits; only the half-precision scales are drawn from finite
numbers. Floats are written as their bits, so the test compares them exactly.
"""
import json
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Byte offsets of the half-precision numbers in a block.
HALVES = {
    Type.Q8_0: [0],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
BLOCKS = 2


def main():
    random = np.random.default_rng(20240807)
    cases = []
    for kind, offsets in HALVES.items():
        block_bytes = GGML_QUANT_SIZES[kind][1]
        blocks = random.integers(0, 256, (BLOCKS, block_bytes), dtype=np.uint8)
        for offset in offsets:
            scales = (random.standard_normal(BLOCKS) * 0.1).astype(np.float16)
            scales[-1] = np.float16(6e-7)  # subnormal in half precision
            blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
        values = dequantize(blocks.reshape(-1), kind).astype(np.float32)
        cases.append({
            "type": kind.name,
            "data": blocks.tobytes().hex(),
            "values": values.astype("<f4").tobytes().hex(),
        })
    path = pathlib.Path(__file__).parents[2] / "tests/golden/dequantization.json"
    path.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
