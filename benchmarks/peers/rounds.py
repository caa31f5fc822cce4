"""The protocol of ../rounds.h: one round of work for each line on stdin."""

import json
import sys
import time

import torch
import transformers
import yaml


def load_shape(path, assignments):
    with open(path) as file:
        shape = yaml.safe_load(file)
    for assignment in assignments:
        key, value = assignment.split("=", 1)
        shape[key] = yaml.safe_load(value)
    return transformers.LlamaConfig(**shape, attn_implementation="sdpa")


def arguments(parser):
    parser.add_argument("--model", required=True, help="YAML file with its shape")
    parser.add_argument("--set", action="append", default=[], help="key=value of the shape")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def peak_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def take_turns(name, work, device, work_once):
    """work_once() may return the seconds of its parts, by name."""
    print(json.dumps({"name": name, "work": work}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        parts = work_once()
        synchronize(device)
        print(json.dumps({"seconds": time.perf_counter() - begin, "parts": parts or {}}), flush=True)
    print(json.dumps({"peak_bytes": peak_bytes()}), flush=True)
