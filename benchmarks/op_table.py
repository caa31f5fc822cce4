"""Ops beside their peers, as a table."""

import os
import statistics
import subprocess

from programs import Failed, LeftOut, Ops

# What stands for the device, in GB/s and in GFLOP/s.
REFERENCES = ("copy", "linear")
GROUPS = {
    "memory": ("copy", "cast", "embedding", "residual", "rope", "swiglu", "score", "adamw", "sum"),
    "products": ("linear", "language"),
    "attention": ("attention",),
    "decoding": ("kv", "decode", "sampling"),
}
# Of peers/ops.py, with the head of their column: ours is so many times as fast.
VARIANTS = {"eager": "PyTorch", "compiled": "torch.compile", "flash": "flash SDPA", "cudnn": "cuDNN SDPA"}


def group_of(name):
    first = name.split("/")[0].split("_")[0]
    return next(group for group, names in GROUPS.items() if first in names)


def rate_with_unit(rate, unit):
    return f"{rate / 1000:,.1f} TFLOP/s" if unit == "GFLOP/s" and rate >= 10000 else f"{rate:,.1f} {unit}"


class Measured:
    """Rounds of one op: ours, and by variant those of the peers."""

    def __init__(self, name):
        self.name = name
        self.ours = []
        self.peers = {}

    @property
    def unit(self):
        return self.ours[0]["unit"]

    @property
    def kind(self):
        """Of the figure that its rate is a share of: a copy's, or the fastest product's in that precision."""
        return self.unit if self.unit == "GB/s" else self.unit + self.name[-len("0/real_time")]

    def median(self, key):
        return statistics.median(turn[key] for turn in self.ours)

    def ratio(self, variant):
        pairs = list(zip(self.ours, self.peers.get(variant, [])))
        if not pairs or any(theirs["seconds"] is None for _, theirs in pairs):
            return ""
        return f"{statistics.median(theirs['seconds'] / mine['seconds'] for mine, theirs in pairs):.2f}×"


def measure(name, ours, peers, count, left_out):
    """`count` rounds, one after the other's. A peer that fails takes no part in the rest."""
    result = Measured(name)
    taking_part = {variant: peer for variant, peer in peers.items() if variant not in left_out}
    for _ in range(count):
        try:
            result.ours.append(ours.round(name))
        except Failed:
            result.ours = []
            return result
        for variant, peer in list(taking_part.items()):
            try:
                turn = peer.round(name)
                if turn["seconds"] is None:  # nothing of its own for this op
                    del taking_part[variant]
                    continue
                result.peers.setdefault(variant, []).append(turn)
            except LeftOut as reason:
                left_out[variant] = str(reason)
                del taking_part[variant]
            except Failed:
                result.peers[variant] = None
                del taking_part[variant]
    return result


def compare_ops(build, python, rounds, threads, device, group, shapes):
    """`shapes`: of bench_ops: small or llama, with sequences and their length."""
    kind, sequences, length = shapes
    seconds = 0.2 if device == "cuda" else 0.5
    program = os.path.join(build, "bench_ops")
    sizes = [f"--shapes={kind}", f"--sequences={sequences}", f"--length={length}"]
    listing = subprocess.run([program, "--benchmark_list_tests", *sizes], check=True, capture_output=True, text=True)
    names = [name for name in listing.stdout.split() if not group or group_of(name) == group]
    references = [name for name in listing.stdout.split() if name.split("/")[0] in REFERENCES]
    ours = Ops([program, "--turns", f"--benchmark_min_time={seconds}", f"--device={device}", *sizes], threads)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", "ops.py")
    shared = ["--device", device, "--sequences", str(sequences), "--length", str(length), "--seconds", str(seconds)]
    variants = (VARIANTS if device == "cuda" else ["eager"]) if python else []
    if kind == "llama":  # the GPU's, tried elsewhere
        variants = VARIANTS if python else []
    peers = {variant: Ops([python, script, *shared, "--variant", variant], threads) for variant in variants}
    left_out, best, measured = {}, {}, {}
    # What stands for the device comes first, so that each share is of the same figure.
    for name in references + [name for name in names if name not in references]:
        is_asked_for = name in names
        result = measure(name, ours, peers if is_asked_for else {}, rounds if is_asked_for else 1, left_out)
        measured[name] = result
        if name in references and result.ours:
            best[result.kind] = max(result.median("rate"), best.get(result.kind, 0))
    columns = [variant for variant in peers if any(result.peers.get(variant, False) is not False for result in measured.values())]
    lines = [
        "| op | µs | rate | of the best |" + "".join(f" against {VARIANTS[variant]} |" for variant in columns),
        "| --- | ---: | ---: | ---: |" + " ---: |" * len(columns),
    ]
    for name in names:
        result = measured[name]
        row = name.removesuffix("/real_time")
        if not result.ours:
            lines.append(f"| {row} | failed | | |" + " |" * len(columns))
            continue
        rate = result.median("rate")
        share = f"{rate / best[result.kind]:.0%}" if result.kind in best else ""
        cells = ["failed" if result.peers.get(variant, ()) is None else result.ratio(variant) for variant in columns]
        lines.append(
            f"| {row} | {result.median('seconds') * 1e6:,.1f} | {rate_with_unit(rate, result.unit)} | {share} |"
            + "".join(f" {cell} |" for cell in cells)
        )
    lines += [f"\n{VARIANTS[variant]} is left out: {reason}." for variant, reason in left_out.items()]
    return "\n".join(lines)
