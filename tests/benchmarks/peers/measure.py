"""What the peers' benchmarks share: options, input, timing and the report."""

import json
import os
import random
import statistics
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"


def lengths(text):
    return [int(part) for part in text.split(",") if part]


def add_arguments(parser):
    parser.add_argument("--model", type=Path, default=MODEL, help="GGUF file (default: the demo model)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one for each core")
    parser.add_argument("--prefill", type=lengths, default=[512, 2048], help="tokens, comma-separated (default: 512,2048)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs after one warm-up (default: %(default)s)")


def tokens(count):
    """Ordinary token ids of SmolLM2's vocabulary, the same in every run."""
    rng = random.Random(count)
    return [rng.randrange(1000, 40000) for _ in range(count)]


def timed(work, repeats, prepare=lambda: None):
    """Seconds of each run of work(), after one that does not count. prepare() runs untimed before each."""
    seconds = []
    for _ in range(repeats + 1):
        prepare()
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def result(name, length, precision, processed, seconds):
    rates = [processed / value for value in seconds]
    return {
        "name": name,
        "tokens": length,
        "precision": precision,
        "tokens_per_second": round(statistics.median(rates), 1),
        "best_tokens_per_second": round(max(rates), 1),
        "runs": [round(rate, 1) for rate in rates],
    }


def print_report(engine, version, arguments, results):
    report = {"engine": engine, "version": version, "threads": arguments.threads, "results": results}
    print(json.dumps(report, indent=1))
