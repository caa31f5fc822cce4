#!/usr/bin/env python3
"""Lets programs that do the same work take turns on the same cores, and prints medians and ratios.

    benchmarks/compare.py --build build --python build/venv-bench/bin/python [--rounds 5] [--only step] [--write FILE]

Every program is one process that speaks the protocol of rounds.h: it works only when it is its turn, so what else the
machine does hits all of them alike. A ratio is the median over rounds of the peer's time by ours in the same round.
What fails stands in the tables as failed, the rest goes on, and the exit status is 1.
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


def write(process, line):
    try:
        print(line, file=process.stdin, flush=True)
    except BrokenPipeError:
        pass  # its answer will be missing


class Failed(Exception):
    """A program ended before its turn was over; the last line that it wrote says why."""


failures = []


def failed(command, process):
    process.kill()
    words = process.stderr.read().strip().splitlines()
    reason = words[-1] if words else f"exit status {process.wait()}"
    failures.append(f"{' '.join(command)}: {reason}")
    print(f"failed: {failures[-1]}", file=sys.stderr, flush=True)
    return Failed(reason)


class Program:
    def __init__(self, command, threads):
        self.process = start(command, threads)
        self.command = command
        about = self.answer()
        self.name, self.work = about["name"], about["work"]
        self.seconds = []
        self.parts = []  # of each round, where a program tells them apart
        self.peak_bytes = 0

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise failed(self.command, self.process)
        return json.loads(line)

    def round(self):
        write(self.process, "")
        answer = self.answer()
        self.parts.append(answer.get("parts", {}))
        return answer["seconds"]

    def end(self):
        self.process.stdin.close()
        self.peak_bytes = self.answer()["peak_bytes"]
        self.process.wait()

    @property
    def rate(self):
        return self.work / statistics.median(self.seconds)


def take_turns(commands, rounds, threads):
    """The programs that came through, in the order of the commands."""
    programs = []

    def each(action):
        for program in list(programs):
            try:
                action(program)
            except Failed:
                programs.remove(program)

    for command in commands:
        try:
            programs.append(Program(command, threads))
        except Failed:
            pass
    each(Program.round)  # the first round fills caches and plans products
    for _ in range(rounds):
        each(lambda program: program.seconds.append(program.round()))
    each(Program.end)
    return programs


def ratio(first, second):
    """How many times as fast the first is, round by round."""
    return statistics.median(
        (b / second.work) / (a / first.work) for a, b in zip(first.seconds, second.seconds)
    )


def parts_of(program):
    """Median seconds of what a round is made of, the first round left out."""
    names = program.parts[-1] if program.parts else {}
    return ", ".join(f"{name} {statistics.median(part[name] for part in program.parts[1:]):.2f} s" for name in names)


def table(programs, commands, device, unit):
    """With the memory of the host, where that is where the work is done."""
    memory = device != "cuda"
    lines = [
        f"| | {unit}/s | range | ours is |" + (" peak memory |" if memory else ""),
        "| --- | ---: | ---: | ---: |" + (" ---: |" if memory else ""),
    ]
    ours = programs[0] if programs and programs[0].command == commands[0] else None
    for program in programs:
        slowest, fastest = program.work / max(program.seconds), program.work / min(program.seconds)
        times = f"{ratio(ours, program):.2f}×" if ours and program is not ours else ""
        digits = ".0f" if program.rate >= 100 else ".2f"
        lines.append(
            f"| {program.name} | {program.rate:,{digits}} | {slowest:,{digits}}–{fastest:,{digits}} | {times} |"
            + (f" {program.peak_bytes / 2**30:.2f} GiB |" if memory else "")
        )
    for command in commands:
        if all(program.command != command for program in programs):
            words = [os.path.basename(word) for word in command if "bench_" in word or word.endswith(".py")]
            words += ["products"] if "products" in command else []
            lines.append(f"| {' '.join(words)} | failed | | |" + (" |" if memory else ""))
    lines += [f"\n{program.name}: {parts_of(program)}" for program in programs if parts_of(program)]
    return "\n".join(lines)


def model(name):
    return os.path.join(MODELS, name + ".yaml")


def comparisons(build, python, device):
    """Title and commands, ours first. A GPU gets larger batches and models."""
    ours = lambda benchmark, *rest: [os.path.join(build, "bench_" + benchmark), "--device", device, *rest]
    peer = lambda benchmark, *rest: [python, os.path.join(HERE, "peers", benchmark + ".py"), "--device", device, *rest]
    on_gpu = device == "cuda"
    if on_gpu:
        steps = [("110m", "fp32", 32, 512), ("110m", "bf16", 32, 512), ("tinyllama-1.1b", "bf16", 8, 2048)]
        generations = [("110m", "bf16", 1), ("110m", "bf16", 32), ("tinyllama-1.1b", "bf16", 1), ("tinyllama-1.1b", "bf16", 32)]
    else:
        steps = [(name, precision, 8, 256) for name in ["15m", "110m"] for precision in ["fp32", "bf16"]]
        generations = [("15m", "fp32", 1), ("15m", "fp32", 16), ("110m", "fp32", 1)]
    for name, precision, sequences, length in steps:
        shared = ["--model", model(name), "--precision", precision, "--sequences", str(sequences), "--length", str(length)]
        yield (
            f"step {name} {precision}: training step, batch {sequences} × {length}",
            [ours("training_step", *shared), ours("training_step", *shared, "--part", "products")]
            + ([peer("training_step", *shared)] if python else []),
        )
    for name, precision, batch in generations:
        shared = ["--model", model(name), "--batch", str(batch), "--precision", precision]
        yield (
            f"generation {name} batch {batch}: 256 new tokens, {precision}",
            [ours("generation", *shared)]
            + ([ours("generation", *shared, "--part", "weights")] if batch == 1 and not on_gpu else [])
            + ([peer("generation", *shared)] if python else []),
        )
    precision = "bf16" if on_gpu else "fp32"
    yield (
        f"heads 110m batch 16: 256 new tokens after 512, {precision}; 12, 4 and 1 key/value heads",
        [
            ours("generation", "--model", model("110m"), "--batch", "16", "--prompt-length", "512",
                 "--precision", precision, "--set", f"num_key_value_heads={heads}")
            for heads in (12, 4, 1)
        ],
    )
    if not on_gpu:
        iteration = os.path.join(HERE, "ppo_iteration.py")
        for precision, vocabulary in (("fp32", "32000"), ("bf16", "32000"), ("fp32", "512")):
            shared = ["--model", model("15m"), "--precision", precision]
            yield (
                f"ppo 15m {precision} vocabulary {vocabulary}: an iteration of 64 prompts of 32 tokens, answers of 64, "
                "8 mini-batches",
                [[sys.executable, iteration, "--cria", os.path.join(build, "cria"), *shared, "--vocabulary", vocabulary]]
                + ([peer("ppo_iteration", *shared, "--set", "vocab_size=" + vocabulary)] if python else []),
            )


class Ops:
    """bench_ops or its peer: runs the benchmark whose name it reads. One that fails is started again for the next."""

    def __init__(self, command, threads):
        self.command, self.threads = command, threads
        self.process = None

    def rounds(self, name, count):
        """What `count` rounds of the benchmark measured, one at a time."""
        for _ in range(count):
            self.process = self.process or start(self.command, self.threads)
            write(self.process, name)
            line = self.process.stdout.readline()
            if not line:
                process, self.process = self.process, None
                raise failed([*self.command, name], process)
            yield json.loads(line)


def rate_with_unit(rate, unit):
    return f"{rate / 1000:,.1f} TFLOP/s" if unit == "GFLOP/s" and rate >= 10000 else f"{rate:,.1f} {unit}"


def compare_ops(build, python, rounds, threads, device, sequences):
    shared = ["--device", device, "--sequences", str(sequences)]
    program = os.path.join(build, "bench_ops")
    names = subprocess.run([program, "--benchmark_list_tests"], check=True, capture_output=True, text=True).stdout.split()
    ours = Ops([program, "--turns", f"--device={device}", f"--sequences={sequences}"], threads)
    peer = Ops([python, os.path.join(HERE, "peers", "ops.py"), *shared], threads) if python else None
    best = {}  # the copy stands for what memory allows, the fastest product for what the cores do
    measured = {}
    # What stands for the device comes first, so that each share is of the same figure.
    for name in sorted(names, key=lambda name: not name.startswith(("copy", "linear/"))):
        turns, theirs = [], []
        try:
            peer_rounds = peer and peer.rounds(name, rounds)
            for mine in ours.rounds(name, rounds):
                turns.append(mine)
                if peer_rounds:
                    try:
                        theirs.append(next(peer_rounds))
                    except Failed:
                        peer_rounds = None
        except Failed:
            turns = []
        measured[name] = (turns, theirs)
        if turns and name.startswith(("copy", "linear/")):
            unit = turns[0]["unit"]
            kind = unit if unit == "GB/s" else unit + name[-len("0/real_time")]
            best[kind] = max(statistics.median(turn["rate"] for turn in turns), best.get(kind, 0))
    lines = ["| op | µs | rate | of the best | PyTorch's µs | ours is |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name in names:
        turns, theirs = measured[name]
        row = name.removesuffix("/real_time")
        if not turns:
            lines.append(f"| {row} | failed | | | | |")
            continue
        seconds = statistics.median(turn["seconds"] for turn in turns)
        rate, unit = statistics.median(turn["rate"] for turn in turns), turns[0]["unit"]
        kind = unit if unit == "GB/s" else unit + name[-len("0/real_time")]
        share = f"{rate / best[kind]:.0%}" if kind in best else ""
        peer_columns = " | |"
        if len(theirs) == len(turns):
            peer_seconds = statistics.median(turn["seconds"] for turn in theirs)
            times = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(turns, theirs))
            peer_columns = f" {peer_seconds * 1e6:,.1f} | {times:.2f}× |"
        elif peer:
            peer_columns = " failed | |"
        lines.append(f"| {row} | {seconds * 1e6:,.1f} | {rate_with_unit(rate, unit)} | {share} |{peer_columns}")
    return "\n".join(lines)


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
    parser.add_argument("--sequences", type=int, help="of 256 tokens, of the ops (default: 8, on a GPU 64)")
    parser.add_argument("--only", default="", help="comparisons whose title begins so")
    parser.add_argument("--write", help="a file for the tables too")
    options = parser.parse_args()
    sequences = options.sequences or (64 if options.device == "cuda" else 8)
    texts = [
        f"{device_words(options.device, options.threads)}, {platform.system()}; medians of {options.rounds} alternated rounds"
    ]
    print(texts[0], flush=True)
    if "ops".startswith(options.only) or options.only.startswith("ops"):
        texts.append(
            f"ops at {sequences} × 256 tokens; sizes, then 0 for fp32 and 1 for bf16; share of the copy's rate or of the "
            "fastest product's in that precision\n\n"
            + compare_ops(options.build, options.python, options.rounds, options.threads, options.device, sequences)
        )
        print("\n" + texts[-1], flush=True)
    for title, commands in comparisons(options.build, options.python, options.device):
        if not title.startswith(options.only):
            continue
        programs = take_turns(commands, options.rounds, options.threads)
        texts.append(f"{title}\n\n{table(programs, commands, options.device, 'samples' if title.startswith('ppo') else 'tokens')}")
        print("\n" + texts[-1], flush=True)
    if options.write:
        with open(options.write, "w") as file:
            file.write("\n\n".join(texts) + "\n")
    if failures:
        sys.exit(1)


main()
