#!/usr/bin/env python3
"""PPO iterations of `cria ppo` on random models, one for each line on stdin, as rounds.h says.

    benchmarks/ppo_iteration.py --cria build/cria --model configs/models/15m.yaml

Each round resumes the run for two more iterations. The seconds are those that its own metrics give to rollout, scoring and
update of the second one: starting, loading, saving and touching memory for the first time are not part of it, as they are
not for the peer, which goes on in one process after an iteration that does not count."""

import argparse
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cria", required=True)
    parser.add_argument("--model", required=True, help="YAML file with its shape")
    parser.add_argument("--vocabulary", type=int, default=32000, help="in the place of the shape's, 512 at least")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--prompt-length", type=int, default=32)
    parser.add_argument("--response-length", type=int, default=64)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--mini-batches", type=int, default=8)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokenizer = str(folder / "tokenizer.model")
        write_tokenizer(tokenizer, options.vocabulary)
        for name, head in (("policy", "language"), ("reward", "score")):
            run(options.cria, "init", "--config", options.model, "--set", f"vocab_size={options.vocabulary}", "--tokenizer", tokenizer,
                "--head", head, "--seed", "1", "--output", str(folder / name))
        draw = random.Random(1)
        with open(folder / "prompts.jsonl", "w") as file:
            for _ in range(options.prompts):
                ids = [1] + [draw.randrange(3, 500) for _ in range(options.prompt_length - 1)]
                file.write(json.dumps({"input_ids": ids}) + "\n")
        length = options.prompt_length + options.response_length
        settings = {
            "model.path": folder / "policy", "ppo.helpfulness": folder / "reward",
            "data.train": f"[{{path: {folder}/prompts.jsonl}}]", "data.max_length": length,
            "training.output_dir": folder / "run", "training.max_steps": 1000, "training.device": options.device,
            "training.precision": options.precision, "ppo.reward_precision": options.precision,
            "training.train_batch_size": options.prompts, "training.micro_batch_tokens": 8 * length,
            "optimizer.learning_rate": "1e-6", "optimizer.lr_scheduler_type": "constant",
            "ppo.response_length": options.response_length, "ppo.slots": options.slots,
            "ppo.num_mini_batches": options.mini_batches, "logging.logging_steps": 1, "checkpoint.keep": 1,
        }
        print(json.dumps({"name": "cria " + options.precision, "work": options.prompts}), flush=True)
        peak = 0
        for start, _ in enumerate(sys.stdin, start=1):
            assignments = [f"{key}={value}" for key, value in settings.items()] + [f"training.stop_at_step={2 * start}"]
            peak = max(peak, run(options.cria, "ppo", *(part for one in assignments for part in ("--set", one)), device=options.device))
            with open(folder / "run" / "metrics.jsonl") as file:
                figures = json.loads(file.readlines()[-1])
            parts = {name: figures["time/" + name] for name in ("rollout", "scoring", "update")}
            print(json.dumps({"seconds": sum(parts.values()), "parts": parts}), flush=True)
        print(json.dumps({"peak_bytes": peak}), flush=True)


def write_tokenizer(path, vocabulary):
    """The tests' tokenizer of 512 pieces with further ones that no text has: a model's tokenizer must have as many as it.
    A SentencePiece model is a protobuf message whose field 1 are the pieces (text 1, score 2), and repeated fields go on
    wherever they come again."""

    def field(number, content):
        size = len(content)
        assert size < 128
        return bytes([number << 3 | 2, size]) + content

    with open(path, "wb") as file:
        file.write((ROOT / "tests/golden/tokenizer.model").read_bytes())
        for i in range(512, vocabulary):
            file.write(field(1, field(1, f"\u2581unused{i}".encode()) + b"\x15" + struct.pack("<f", -float(i))))


UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def run(*command, device="cpu"):
    """The most memory that the process held; on a GPU the total of the plan that it printed, outside of which it takes none."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(output)
    if device == "cuda":
        totals = re.findall(r"^ *total +([0-9.]+) (\w+)$", output, re.MULTILINE)
        return int(max(float(size) * UNITS[unit] for size, unit in totals))
    return usage.ru_maxrss * 1024


main()
