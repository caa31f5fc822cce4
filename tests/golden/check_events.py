"""Checks with the real tensorboard package that the event files of a run say what its metrics.jsonl says.

    python tests/golden/check_events.py build/cria

A small run is stopped, resumed, killed, its last event file cut short as by a full disk, and resumed again: still
every curve must have each logged step once, with the figure of metrics.jsonl rounded to fp32.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import tensorboard
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

GOLDEN = Path(__file__).resolve().parent


def check(condition, message):
    if not condition:
        sys.exit(f"error: {message}")


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def make_run(cria, folder):
    """Returns the run's directory."""
    subprocess.run([cria, "demo-data", "--output", folder / "data", "--size", "small"], check=True, stdout=subprocess.DEVNULL)
    run = folder / "run"
    settings = {
        "model.path": GOLDEN / "models" / "gqa_untied",
        "tokenizer.path": GOLDEN / "tokenizer.model",
        "data.train": f"[{{path: {folder}/data/sft_train.jsonl}}]",
        "data.eval": f"[{{path: {folder}/data/sft_clean.jsonl}}]",
        "data.max_length": 128,
        "training.train_batch_size": 4,
        "training.max_steps": 120,
        "training.eval_steps": 15,
        "training.output_dir": run,
        "optimizer.learning_rate": 3e-3,
        "checkpoint.save_steps": 40,
        "logging.logging_steps": 1,
    }
    command = [cria, "sft"] + [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]

    def finish(*more):
        subprocess.run(command + list(more), check=True, stdout=subprocess.DEVNULL)

    finish("--set", "training.stop_at_step=20")
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while killed.poll() is None and len(lines_of(run / "metrics.jsonl")) < 70:
        time.sleep(0.001)
    check(killed.poll() is None, "the run ended before it could be killed")
    killed.kill()
    killed.wait()
    last = sorted((run / "tensorboard").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-3])
    finish()
    return run


def points_of_metrics(run):
    """{name: [(step, figure in fp32)]}"""
    points = {}
    for line in lines_of(run / "metrics.jsonl"):
        figures = json.loads(line)
        step = figures.pop("step")
        for name, figure in figures.items():
            points.setdefault(name, []).append((step, numpy.float32(figure)))
    return points


def check_same(kind, found, expected):
    check(found.keys() == expected.keys(), f"{kind}: {sorted(found)} instead of {sorted(expected)}")
    for name, points in expected.items():
        check(found[name] == points, f"{kind}: {name} is {found[name]}\ninstead of {points}")


def main():
    check(len(sys.argv) == 2, "name the program: build/cria")
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(sys.argv[1]).resolve(), Path(folder))
        expected = points_of_metrics(run)
        check([step for step, _ in expected["loss"]] == list(range(1, 121)), "metrics.jsonl lacks steps")
        events = str(run / "tensorboard")

        scalars = EventAccumulator(events, size_guidance={"scalars": 0})
        scalars.Reload()
        found = {
            tag: [(event.step, numpy.float32(event.value)) for event in scalars.Scalars(tag)]
            for tag in scalars.Tags()["scalars"]
        }
        check_same("EventAccumulator", found, expected)
        times = [event.wall_time for event in scalars.Scalars("loss")]
        check(times == sorted(times) and abs(times[-1] - time.time()) < 60, "wall times")

        # What the server of `tensorboard --load_fast=false` shows: scalars as tensors.
        served = plugin_event_accumulator.EventAccumulator(events, tensor_size_guidance={"scalars": 0})
        served.Reload()
        found = {
            tag: [(event.step, tensor_util.make_ndarray(event.tensor_proto)[()]) for event in served.Tensors(tag)]
            for tag in served.PluginTagToContent("scalars")
        }
        check_same("the server", found, expected)
        count = sum(len(points) for points in expected.values())
        print(f"events: {count} points of {len(expected)} curves good in tensorboard {tensorboard.__version__}")


if __name__ == "__main__":
    main()
