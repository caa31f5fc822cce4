#!/usr/bin/env python3
"""Lets programs that do the same work take turns on the same machine, and prints medians and ratios.

    benchmarks/compare.py --build build --python build/venv-bench/bin/python [--rounds 5] [--only step] [--write FILE]

Every program is one process that speaks the protocol of rounds.h: it works only when it is its turn, so what else the
machine does hits all of them alike. A ratio is the median over rounds of the peer's time by ours in the same round.
What fails stands in the tables as failed, the rest goes on, and the exit status is 1. --rehearsal tries what a GPU gets with
tiny models, on any device: its figures say nothing."""

import argparse
import dataclasses
import os
import platform
import subprocess
import sys

import programs
from op_table import GROUPS, compare_ops
from programs import Failed, Ops, Turns, parts_of, ratio
from roofline import Gpu, Shape, decoding

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "configs", "models")


def model(name):
    return os.path.join(MODELS, name + ".yaml")


@dataclasses.dataclass
class Comparison:
    title: str
    commands: list  # ours first
    unit: str = "tokens"
    alone: bool = False  # two of them do not fit into a GPU's memory side by side
    limit: float = 0  # tokens/s that the memory's rate allows


class Commands:
    def __init__(self, build, python, device):
        self.build, self.python, self.device = build, python, device

    def ours(self, benchmark, *rest):
        return [os.path.join(self.build, "bench_" + benchmark), "--device", self.device, *rest]

    def peers(self, benchmark, shared, *variants):
        script = os.path.join(HERE, "peers", benchmark + ".py")
        return [[self.python, script, "--device", self.device, *shared, *extra] for extra in variants] if self.python else []

    def ppo(self, shared, *, vocabulary):
        script = os.path.join(HERE, "ppo_iteration.py")
        shared = [*shared, "--device", self.device]
        mine = [sys.executable, script, "--cria", os.path.join(self.build, "cria"), *shared, "--vocabulary", vocabulary]
        return [mine] + self.peers("ppo_iteration", shared, ["--set", "vocab_size=" + vocabulary])


def cpu_comparisons(commands):
    for name in ("15m", "110m"):
        for precision in ("fp32", "bf16"):
            shared = ["--model", model(name), "--precision", precision, "--sequences", "8", "--length", "256"]
            yield Comparison(
                f"step {name} {precision}: training step, batch 8 × 256",
                [commands.ours("training_step", *shared), commands.ours("training_step", *shared, "--part", "products")]
                + commands.peers("training_step", shared, []),
            )
    for name, batch in (("15m", 1), ("15m", 16), ("110m", 1)):
        shared = ["--model", model(name), "--batch", str(batch), "--precision", "fp32"]
        yield Comparison(
            f"generation {name} batch {batch}: 256 new tokens, fp32",
            [commands.ours("generation", *shared)]
            + ([commands.ours("generation", *shared, "--part", "weights")] if batch == 1 else [])
            + commands.peers("generation", shared, []),
        )
    yield heads(commands, "fp32")
    for precision, vocabulary in (("fp32", "32000"), ("bf16", "32000"), ("fp32", "512")):
        yield Comparison(
            f"ppo 15m {precision} vocabulary {vocabulary}: an iteration of 64 prompts of 32 tokens, answers of 64, "
            "8 mini-batches",
            commands.ppo(["--model", model("15m"), "--precision", precision], vocabulary=vocabulary),
            unit="samples",
        )


def heads(commands, precision, name="110m", prompt_length=512, kinds=(12, 4, 1)):
    return Comparison(
        f"heads {name} batch 16: 256 new tokens after {prompt_length}, {precision}; {', '.join(map(str, kinds))} key/value heads",
        [
            commands.ours("generation", "--model", model(name), "--batch", "16", "--prompt-length", str(prompt_length),
                          "--precision", precision, "--set", f"num_key_value_heads={count}")
            for count in kinds
        ],
    )  # fmt: skip


COMPILED_FLASH = ["--compile", "--attention", "flash"]
COMPILED_CUDNN = ["--compile", "--attention", "cudnn"]


def gpu_comparisons(commands, copy_rate):
    """Of the larger models gradients and moments are in bf16 on both sides; cria has fp32 masters of the weights beside
    them. Transformers without its static cache is slow: at batch 1 alone."""
    for precision in ("fp32", "bf16"):
        shared = ["--model", model("110m"), "--precision", precision, "--sequences", "32", "--length", "512"]
        yield Comparison(
            f"step 110m {precision}: training step, batch 32 × 512",
            [commands.ours("training_step", *shared), commands.ours("training_step", *shared, "--part", "products")]
            + commands.peers("training_step", shared, [], ["--compile"]),
        )
    for name, layers, sequences, rows in (("tinyllama-1.1b", 0, 16, 4), ("llama2-7b", 4, 16, 4), ("llama2-7b", 0, 16, 2)):
        shared = ["--model", model(name), "--precision", "bf16", "--state", "bf16", "--set", "max_position_embeddings=4096",
                  "--sequences", str(sequences), "--length", "4096", "--micro-batch-tokens", str(4096 * rows)]  # fmt: skip
        if layers:
            shared += ["--set", f"num_hidden_layers={layers}"]
        yield Comparison(
            f"step {name} {f'{layers} layers' if layers else 'whole'}: training step, batch {sequences} × 4,096 in passes of "
            f"{4096 * rows:,} tokens, bf16",
            [commands.ours("training_step", *shared), commands.ours("training_step", *shared, "--part", "products")]
            + commands.peers("training_step", shared, COMPILED_FLASH, *([COMPILED_CUDNN] if layers or name != "llama2-7b" else [])),
            alone=True,
        )
    for name in ("tinyllama-1.1b", "llama2-7b"):
        for batch in (1, 16, 64):
            shared = ["--model", model(name), "--batch", str(batch), "--prompt-length", "128", "--precision", "bf16"]
            yield Comparison(
                f"generation {name} batch {batch}: 256 new tokens after 128, bf16",
                [commands.ours("generation", *shared)]
                + commands.peers("generation", shared, ["--static"], *([["--dynamic"]] if batch == 1 else [])),
                limit=decoding(Shape.read(name), batch, 128 + 256 / 2, Gpu(copy=copy_rate)) if copy_rate else 0,
            )
    yield heads(commands, "bf16")
    sizes = ["--prompts", "256", "--prompt-length", "128", "--response-length", "256", "--mini-batches", "8"]
    ppo = commands.ppo(["--model", model("110m"), "--precision", "bf16", *sizes], vocabulary="32000")
    yield Comparison(
        "ppo 110m bf16: an iteration of 256 prompts of 128 tokens, answers of 256, 8 mini-batches",
        [command + [width, "256"] for command, width in zip(ppo, ("--slots", "--generation-batch"))],
        unit="samples",
        alone=True,
    )


def rehearsal_comparisons(commands):
    """What gpu_comparisons runs, small."""
    tiny = ["--model", model("tiny"), "--precision", "bf16"]
    shared = [*tiny, "--state", "bf16", "--set", "num_hidden_layers=2", "--set", "max_position_embeddings=256",
              "--sequences", "4", "--length", "128", "--micro-batch-tokens", "256"]  # fmt: skip
    yield Comparison(
        "step tiny: rehearsal",
        [commands.ours("training_step", *shared), commands.ours("training_step", *shared, "--part", "products")]
        + commands.peers("training_step", shared, [], COMPILED_FLASH, COMPILED_CUDNN),
        alone=True,
    )
    shared = [*tiny, "--batch", "2", "--prompt-length", "16", "--new-tokens", "8"]
    yield Comparison(
        "generation tiny: rehearsal",
        [commands.ours("generation", *shared)] + commands.peers("generation", shared, ["--static"], ["--dynamic"]),
        limit=decoding(Shape.read("tiny"), 2, 20, Gpu(copy=10e9)),
    )
    yield heads(commands, "bf16", "tiny", 16, (4, 2, 1))
    sizes = ["--prompts", "8", "--prompt-length", "8", "--response-length", "8", "--mini-batches", "2"]
    yield Comparison("ppo tiny: rehearsal", commands.ppo([*tiny, *sizes], vocabulary="512"), unit="samples", alone=True)


def table(comparison, turns, nominal):
    """Model FLOP utilisation where the FLOP are counted and a nominal rate is given."""
    commands, done = comparison.commands, turns.programs
    ours = done[0] if done and done[0].command == commands[0] else None
    flop_of_item = ours.flop / ours.work if ours else 0
    columns = {f"{comparison.unit}/s": None, "range": None, "ours is": None}
    if flop_of_item and nominal:
        columns["MFU"] = lambda program: "" if "products" in program.name else f"{program.rate * flop_of_item / nominal:.1%}"
    if comparison.limit:
        columns["of the limit"] = lambda program: f"{program.rate / comparison.limit:.0%}"
    if any(program.peak_bytes for program in done):
        columns["peak memory"] = lambda program: f"{program.peak_bytes / 2**30:.2f} GiB" if program.peak_bytes else ""
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for program in done:
        slowest, fastest = program.work / max(program.seconds), program.work / min(program.seconds)
        digits = ".0f" if program.rate >= 100 else ".2f"
        cells = [f"{program.rate:,{digits}}", f"{slowest:,{digits}}–{fastest:,{digits}}",
                 f"{ratio(ours, program):.2f}×" if ours and program is not ours else ""]  # fmt: skip
        cells += [cell(program) for cell in columns.values() if cell]
        lines.append(f"| {program.name} | " + " | ".join(cells) + " |")
    for number, command in enumerate(commands):
        if all(program.command != command for program in done):
            words = [os.path.basename(word) for word in command if "bench_" in word or word.endswith(".py")]
            words += [word.lstrip("-") for word in command if word in ("products", "--compile", "--static", "--dynamic", "flash", "cudnn")]
            reason = turns.left_out.get(number)
            lines.append(f"| {' '.join(words)} | {f'left out: {reason}' if reason else 'failed'} |" + " |" * (len(columns) - 1))
    lines += [f"\n{program.name}: {parts_of(program)}" for program in done if parts_of(program)]
    return "\n".join(lines)


def measured_copy_rate(build, device):
    """Bytes/s, for the limit of decoding; 0 where it could not be measured."""
    try:
        ops = Ops([os.path.join(build, "bench_ops"), "--turns", f"--device={device}"], 1)
        return ops.round("copy/16777216/real_time")["rate"] * 1e9
    except Failed:
        return 0


def device_words(device, threads):
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        try:
            return subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "a GPU that nvidia-smi does not name"
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    return f"{cpu}, {threads} threads"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--python", help="with torch and transformers; without it only our own figures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--sequences", type=int, help="of the ops: of 256 tokens (default: 8), on a GPU of 4,096 (default: 4)")
    parser.add_argument("--only", default="", help="comparisons whose title begins so; `ops memory`, `ops products`, ...")
    parser.add_argument("--nominal", type=float, default=989e12, help="flop/s of a GPU, of which MFU is a share")
    parser.add_argument("--rehearsal", action="store_true")
    parser.add_argument("--write", help="a file for the tables too")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    texts = [
        f"{device_words(options.device, options.threads)}, {platform.system()}; medians of {options.rounds} rounds"
    ]
    print(texts[0], flush=True)
    groups = [group for group in GROUPS if f"ops {group}".startswith(options.only) or options.only.startswith(f"ops {group}")]
    if groups:
        shapes = ("llama", options.sequences or 4, 4096) if on_gpu else ("small", options.sequences or 8, 256)
        if options.rehearsal:
            shapes = ("llama", 1, 64)
        title = f"ops at {shapes[1]} × {shapes[2]:,} tokens; sizes, then 0 for fp32 and 1 for bf16; share of the copy's rate or of " \
                "the fastest product's in that precision"  # fmt: skip
        for group in groups if len(groups) < len(GROUPS) else [None]:
            rows = compare_ops(options.build, options.python, options.rounds, options.threads, options.device, group, shapes)
            texts.append(f"{title}\n\n{rows}")
            print("\n" + texts[-1], flush=True)
    commands = Commands(options.build, options.python, options.device)
    if options.rehearsal:
        comparisons = rehearsal_comparisons(commands)
    elif on_gpu:
        wants_limit = "generation".startswith(options.only) or options.only.startswith("generation")
        comparisons = gpu_comparisons(commands, measured_copy_rate(options.build, options.device) if wants_limit else 0)
    else:
        comparisons = cpu_comparisons(commands)
    for comparison in comparisons:
        if not comparison.title.startswith(options.only):
            continue
        turns = Turns(comparison.commands, options.rounds, options.threads, comparison.alone)
        texts.append(f"{comparison.title}\n\n{table(comparison, turns, options.nominal if on_gpu or options.rehearsal else 0)}")
        print("\n" + texts[-1], flush=True)
    if options.write:
        with open(options.write, "w") as file:
            file.write("\n\n".join(texts) + "\n")
    if programs.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
