#!/usr/bin/env python3
"""Speed of training an adapter, tome-train's next to that of transformers and PEFT, in turns, as JSON.

  .deps/peers/bin/python tests/benchmarks/peers/training_bench.py [--rounds 3] [--steps 4] [--precision bf16] ...

Each step is 8 completions of 256 tokens, rank 16 on all matrices; half of the tokens are learnt. Both read the same JSON
lines. Speed is in tokens a second, loading and the first step aside.
"""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import measure  # noqa: E402

BATCH, TOKENS, RANK = 8, 256, 16
MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORDS = " river houses people valley water winter stone bread garden window letter story morning field".split()


def lines(tokenizer, count):
    """Prompts and completions of half the tokens each, the end of the text among them."""

    def text(rng, wanted):
        words = ""
        while len(tokenizer(words)["input_ids"]) < wanted:
            words += " " + rng.choice(WORDS)
        return words

    rng = random.Random(1)
    return [
        {"prompt": text(rng, TOKENS // 2), "completion": text(rng, TOKENS - TOKENS // 2 - 1)} for _ in range(count)
    ]


def run_tome(arguments, data):
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.tome_train, "adapter", "--model", arguments.model, "--completions", data, "--output", folder]
        command += ["--rank", RANK, "--matrices", ",".join(MATRICES), "--batch", BATCH, "--steps", arguments.steps + 1]
        command += ["--precision", arguments.precision, "--threads", arguments.threads, "--checkpoint-every", 0]
        subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with open(Path(folder) / "losses.csv") as log:
            rows = list(csv.DictReader(log))
    tokens = int(rows[-1]["tokens"]) - int(rows[0]["tokens"])
    return tokens / (float(rows[-1]["seconds"]) - float(rows[0]["seconds"]))


def peft_model(arguments):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, GgufConfig

    base = AutoModelForCausalLM.from_pretrained(
        arguments.model.parent,
        gguf_file=arguments.model.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[arguments.precision],
    )
    return get_peft_model(base, LoraConfig(r=RANK, lora_alpha=16, target_modules=MATRICES)).train()


def run_peft(model, optimizer, tokenizer, rows, steps):
    import torch

    tokens, seconds = 0, 0.0
    for step in range(steps + 1):
        begin = time.perf_counter()
        batch, labels = [], []
        for row in rows[step * BATCH : (step + 1) * BATCH]:
            prompt = tokenizer(row["prompt"])["input_ids"]
            completion = tokenizer(row["completion"])["input_ids"] + [tokenizer.eos_token_id]
            batch.append((prompt + completion)[:TOKENS])
            labels.append(([-100] * len(prompt) + completion)[:TOKENS])
        longest = max(len(ids) for ids in batch)
        ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids in batch])
        wanted = torch.tensor([own + [-100] * (longest - len(own)) for own in labels])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in batch])
        model(input_ids=ids, attention_mask=mask, labels=wanted).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step > 0:
            seconds += time.perf_counter() - begin
            tokens += sum(len(ids) for ids in batch)
    return tokens / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=measure.MODEL, help="GGUF file (default: the demo model)")
    parser.add_argument("--tome-train", type=Path, default=measure.ROOT / "build/release/bin/tome-train")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one for each core")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3, help="of both in turns (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="timed in each round (default: %(default)s)")
    arguments = parser.parse_args()

    import torch
    import transformers
    from transformers import AutoTokenizer

    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model.parent, gguf_file=arguments.model.name)
    model = peft_model(arguments)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    rows = lines(tokenizer, BATCH * (arguments.steps + 1))
    speeds = {"tome-train": [], "transformers and PEFT": []}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as data:
        data.write("".join(json.dumps(row) + "\n" for row in rows))
        data.flush()
        for _ in range(arguments.rounds):
            speeds["tome-train"].append(run_tome(arguments, data.name))
            speeds["transformers and PEFT"].append(run_peft(model, optimizer, tokenizer, rows, arguments.steps))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    report = {"threads": arguments.threads, "precision": arguments.precision, "tokens_per_second": speeds}
    report["times_as_fast"] = medians["tome-train"] / medians["transformers and PEFT"]
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
