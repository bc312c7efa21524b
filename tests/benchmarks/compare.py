#!/usr/bin/env python3
"""Times tome-bench and its peers in turn on this machine, and prints a Markdown table of rates and ratios.

  scripts/setup-peers.sh                                    once
  cmake --build --preset release --target tome-bench
  .deps/peers/bin/python tests/benchmarks/compare.py [--rounds 3] [--json FILE]

Every round runs each program once, in a rotated order, so that other load on the machine hits all of them. A rate is
the median over rounds; a ratio is the median of the rounds' own ratios. Speed goals are those of README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "peers"
MODEL = ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"
LENGTHS = [512, 2048]
AMX = "amx_tile" in Path("/proc/cpuinfo").read_text()


def run_json(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if done.returncode != 0:
        raise SystemExit(f"compare.py: {' '.join(map(str, command))} failed with exit code {done.returncode}")
    return json.loads(done.stdout)


def tome_rates(arguments):
    report = run_json(
        [arguments.tome_bench, "--model", MODEL, "--sections", "prefill,decode"]
        + ["--lengths", ",".join(map(str, LENGTHS)), "--threads", str(arguments.threads)]
        + ["--repeats", str(arguments.repeats)]
    )
    rates = {("tome", "prefill", entry["tokens"]): entry["tokens_per_second"] for entry in report["prefill"]}
    for entry in report["decode"]:
        rates["tome", "decode", entry["context_tokens"]] = entry["tokens_per_second"]
    facts = {key: report[key] for key in ("precision", "precision_reason", "decode_weights", "cpu_features", "engine")}
    return rates, facts


def peer_rates(script, arguments, *options):
    report = run_json(
        [sys.executable, PEERS / script, "--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
        + list(options)
    )
    rates = {}
    for entry in report["results"]:
        engine = f"{report['engine']} {entry['precision']}"
        rates[engine, entry["name"], entry["tokens"]] = entry["tokens_per_second"]
    return rates, {"version": report["version"]}


def measure(arguments):
    """The rates of each round: [{(engine, measurement, tokens): tokens per second}], and facts about the programs."""
    programs = [
        ("tome", lambda: tome_rates(arguments)),
        ("transformers bf16", lambda: peer_rates("transformers_bench.py", arguments, "--precision", "bf16")),
        ("transformers fp32", lambda: peer_rates("transformers_bench.py", arguments, "--precision", "fp32")),
        ("llama.cpp", lambda: peer_rates("llama_cpp_bench.py", arguments)),
    ]
    rounds, facts = [], {}
    for number in range(arguments.rounds):
        turn = number % len(programs)
        rounds.append({})
        for name, program in programs[turn:] + programs[:turn]:
            print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr)
            rates, facts[name] = program()
            rounds[-1].update(rates)
    return rounds, facts


GOALS = {
    ("prefill", "transformers bf16"): 0.9,
    ("prefill", "llama.cpp Q4_1"): 4.0 if AMX else 2.0,
    ("decode", "llama.cpp Q4_1"): 1.0,
}
ENGINES = ["transformers bf16", "transformers fp32", "llama.cpp Q4_1"]


def summarise(rounds):
    rows = []
    for name, tokens in [(name, tokens) for name in ("prefill", "decode") for tokens in LENGTHS]:
        row = {"measurement": name, "tokens": tokens, "ratios": {}}
        row["tome"] = statistics.median(rates["tome", name, tokens] for rates in rounds)
        for engine in ENGINES:
            if (engine, name, tokens) not in rounds[0]:
                continue
            row[engine] = statistics.median(rates[engine, name, tokens] for rates in rounds)
            ratio = statistics.median(rates["tome", name, tokens] / rates[engine, name, tokens] for rates in rounds)
            row["ratios"][engine] = {"ratio": round(ratio, 3), "goal": GOALS.get((name, engine))}
        rows.append(row)
    return rows


def markdown(rows):
    lines = ["| tokens/s | tome | " + " | ".join(ENGINES) + " |", "|---" * (2 + len(ENGINES)) + "|"]
    for row in rows:
        cells = [f"{row['measurement']}, {row['tokens']} tokens", f"{row['tome']:.1f}"]
        for engine in ENGINES:
            if engine not in row:
                cells.append("")
                continue
            ratio, goal = row["ratios"][engine]["ratio"], row["ratios"][engine]["goal"]
            verdict = "" if goal is None else f", goal {goal:g}x: {'met' if ratio >= goal else 'missed'}"
            cells.append(f"{row[engine]:.1f} ({ratio:.2f}x{verdict})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tome-bench", type=Path, default=ROOT / "build/release/bin/tome-bench")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one for each core")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs in each round (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write everything that was measured to this file")
    arguments = parser.parse_args()
    if not arguments.tome_bench.exists():
        parser.error(f"{arguments.tome_bench} is missing: cmake --build --preset release --target tome-bench")
    rounds, facts = measure(arguments)
    rows = summarise(rounds)
    if arguments.json:
        raw = [{" / ".join(map(str, key)): rate for key, rate in rates.items()} for rates in rounds]
        report = {"threads": arguments.threads, "programs": facts, "summary": rows, "rounds": raw}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{facts['tome']['cpu_features']}; {arguments.threads} threads; tome {facts['tome']['precision']}")
    print(f"({facts['tome']['precision_reason']}); {arguments.rounds} rounds\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
