#!/usr/bin/env python3
"""Lets programs that do the same work take turns on the same cores, and prints medians and ratios.

    benchmarks/compare.py --build build --python build/venv-bench/bin/python [--rounds 5] [--only step] [--write FILE]

Every program is one process that speaks the protocol of rounds.h: it works only when it is its turn, so what else the
machine does hits all of them alike. A ratio is the median over rounds of the peer's time by ours in the same round.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "configs", "models")


def start(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="10000", TOKENIZERS_PARALLELISM="false")
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


class Program:
    def __init__(self, command, threads):
        self.process = start(command, threads)
        self.command = command
        about = self.answer()
        self.name, self.work = about["name"], about["work"]
        self.seconds = []
        self.peak_bytes = 0

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.command)}\n{self.process.stderr.read()}")
        return json.loads(line)

    def round(self):
        print(file=self.process.stdin, flush=True)
        return self.answer()["seconds"]

    def end(self):
        self.process.stdin.close()
        self.peak_bytes = self.answer()["peak_bytes"]
        self.process.wait()

    @property
    def rate(self):
        return self.work / statistics.median(self.seconds)


def take_turns(commands, rounds, threads):
    programs = [Program(command, threads) for command in commands]
    for program in programs:
        program.round()  # the first round fills caches and plans products
    for _ in range(rounds):
        for program in programs:
            program.seconds.append(program.round())
    for program in programs:
        program.end()
    return programs


def ratio(first, second):
    """How many times as fast the first is, round by round."""
    return statistics.median(
        (b / second.work) / (a / first.work) for a, b in zip(first.seconds, second.seconds)
    )


def table(programs):
    ours = programs[0]
    lines = ["| | tokens/s | range | ours is | peak memory |", "| --- | ---: | ---: | ---: | ---: |"]
    for program in programs:
        slowest, fastest = program.work / max(program.seconds), program.work / min(program.seconds)
        times = "" if program is ours else f"{ratio(ours, program):.2f}×"
        lines.append(
            f"| {program.name} | {program.rate:,.0f} | {slowest:,.0f}–{fastest:,.0f} | {times} "
            f"| {program.peak_bytes / 2**30:.2f} GiB |"
        )
    return "\n".join(lines)


def model(name):
    return os.path.join(MODELS, name + ".yaml")


def comparisons(build, python):
    """Title and commands, ours first."""
    ours = lambda benchmark, *rest: [os.path.join(build, "bench_" + benchmark), *rest]
    peer = lambda benchmark, *rest: [python, os.path.join(HERE, "peers", benchmark + ".py"), *rest]
    for name in ["15m", "110m"]:
        for precision in ["fp32", "bf16"]:
            shared = ["--model", model(name), "--precision", precision]
            yield (
                f"step {name} {precision}: training step, batch 8 × 256",
                [ours("training_step", *shared), ours("training_step", *shared, "--part", "products")]
                + ([peer("training_step", *shared)] if python else []),
            )
    for name, batch in [("15m", 1), ("15m", 16), ("110m", 1)]:
        shared = ["--model", model(name), "--batch", str(batch)]
        yield (
            f"generation {name} batch {batch}: 256 new tokens, fp32",
            [ours("generation", *shared)]
            + ([ours("generation", *shared, "--part", "weights")] if batch == 1 else [])
            + ([peer("generation", *shared)] if python else []),
        )
    yield (
        "heads 110m batch 16: 256 new tokens after 512, fp32; 12, 4 and 1 key/value heads",
        [
            ours("generation", "--model", model("110m"), "--batch", "16", "--prompt-length", "512",
                 "--set", f"num_key_value_heads={heads}")
            for heads in (12, 4, 1)
        ],
    )


class Ops:
    """bench_ops or its peer: runs the benchmark whose name it reads."""

    def __init__(self, command, threads):
        self.process = start(command, threads)

    def round(self, name):
        print(name, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(self.process.stderr.read())
        return json.loads(line)


def compare_ops(build, python, rounds, threads, device):
    program = os.path.join(build, "bench_ops")
    names = subprocess.run([program, "--benchmark_list_tests"], check=True, capture_output=True, text=True).stdout.split()
    ours = Ops([program, "--turns", f"--device={device}"], threads)
    peer = Ops([python, os.path.join(HERE, "peers", "ops.py"), "--device", device], threads) if python else None
    lines = ["| op | µs | | PyTorch's µs | ours is |", "| --- | ---: | ---: | ---: | ---: |"]
    best = {}  # the copy stands for what memory allows, the fastest product for what the cores do
    for name in names:
        turns = [(ours.round(name), peer and peer.round(name)) for _ in range(rounds)]
        seconds = statistics.median(mine["seconds"] for mine, _ in turns)
        rate, unit = statistics.median(mine["rate"] for mine, _ in turns), turns[0][0]["unit"]
        kind = unit if unit == "GB/s" else unit + name[-len("0/real_time")]
        if name.startswith(("copy", "linear/")):
            best[kind] = max(rate, best.get(kind, 0))
        share = f", {rate / best[kind]:.0%}" if kind in best and not name.startswith(("copy", "linear/")) else ""
        peer_columns = " | |"
        if peer:
            peer_seconds = statistics.median(theirs["seconds"] for _, theirs in turns)
            times = statistics.median(theirs["seconds"] / mine["seconds"] for mine, theirs in turns)
            peer_columns = f" {peer_seconds * 1e6:,.0f} | {times:.2f}× |"
        lines.append(
            f"| {name.removesuffix('/real_time')} | {seconds * 1e6:,.0f} | {rate:,.1f} {unit}{share} |{peer_columns}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--python", help="with torch and transformers; without it only our own figures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu", help="of the ops: cpu or cuda")
    parser.add_argument("--only", default="", help="comparisons whose title begins so")
    parser.add_argument("--write", help="a file for the tables too")
    options = parser.parse_args()
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    texts = [f"{cpu}, {options.threads} threads, {platform.system()}; medians of {options.rounds} alternated rounds"]
    print(texts[0], flush=True)
    if "ops".startswith(options.only) or options.only.startswith("ops"):
        texts.append(
            "ops at 8 × 256 tokens; sizes, then 0 for fp32 and 1 for bf16; share of the copy's or the product's rate\n\n"
            + compare_ops(options.build, options.python, options.rounds, options.threads, options.device)
        )
        print("\n" + texts[-1], flush=True)
    for title, commands in comparisons(options.build, options.python):
        if not title.startswith(options.only):
            continue
        texts.append(f"{title}\n\n{table(take_turns(commands, options.rounds, options.threads))}")
        print("\n" + texts[-1], flush=True)
    if options.write:
        with open(options.write, "w") as file:
            file.write("\n\n".join(texts) + "\n")


main()
