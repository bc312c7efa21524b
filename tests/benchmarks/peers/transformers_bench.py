#!/usr/bin/env python3
"""Prefill speed of Hugging Face transformers on the weights of a GGUF file, dequantised, as JSON.

  .deps/peers/bin/python tests/benchmarks/peers/transformers_bench.py [--precision bf16] [--prefill 512,2048] ...
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import measure  # noqa: E402


def load_model(path, precision):
    from transformers import AutoModelForCausalLM, GgufConfig

    import torch

    return AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[precision],
    ).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_arguments(parser)
    parser.add_argument("--precision", default="bf16,fp32", help="which, comma-separated (default: %(default)s)")
    arguments = parser.parse_args()

    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    results = []
    for precision in arguments.precision.split(","):
        model = load_model(arguments.model, precision)

        def prefill(tokens):
            with torch.inference_mode():
                # As a server would: keys and values are kept, logits are made for the last position only.
                model(torch.tensor([tokens]), use_cache=True, logits_to_keep=1)

        for length in arguments.prefill:
            tokens = measure.tokens(length)
            seconds = measure.timed(lambda: prefill(tokens), arguments.repeats)
            results.append(measure.result("prefill", length, precision, length, seconds))
    measure.print_report("transformers", transformers.__version__, arguments, results)


if __name__ == "__main__":
    main()
