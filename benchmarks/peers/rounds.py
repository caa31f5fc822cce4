"""The protocol of ../rounds.h: one round of work for each line on stdin. And the model that works: transformers' Llama,
or where that is not installed llama.py's."""

import json
import sys
import time

import torch

import llama

try:
    import transformers
except ImportError:
    transformers = None


def read_shape(path, assignments):
    """The numbers and booleans of a file of configs/models."""
    with open(path) as file:
        lines = [line.split("#")[0].strip().replace(": ", "=") for line in file]
    words = {"true": True, "false": False}
    pairs = (line.split("=", 1) for line in lines + assignments if line)
    return {key: words[value] if value in words else json.loads(value) for key, value in pairs}


def load_shape(path, assignments):
    """As a configuration of transformers."""
    return transformers.LlamaConfig(**read_shape(path, assignments), attn_implementation="sdpa")


class HuggingFace(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model = transformers.LlamaForCausalLM(config)

    def loss(self, ids):
        return self.model(input_ids=ids, labels=ids, use_cache=False).loss

    @torch.inference_mode()
    def generate(self, prompts, new_tokens):
        self.model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            pad_token_id=0,
        )


def make_model(options):
    """A model with random weights, its name and the size of its vocabulary."""
    torch.manual_seed(1)
    if transformers:
        config = load_shape(options.model, options.set)
        return HuggingFace(config), "transformers", config.vocab_size
    shape = read_shape(options.model, options.set)
    return llama.Llama(shape), "PyTorch", shape["vocab_size"]


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
