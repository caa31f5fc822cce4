"""The protocol of ../rounds.h: one round of work for each line on stdin. And the model that works: transformers' Llama,
or where that is not installed llama.py's."""

import contextlib
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import llama

try:
    import transformers
except ImportError:
    transformers = None

LEFT_OUT = 77  # exit status of a peer that cannot be had here; its last line says why


def leave_out(reason):
    print(reason, file=sys.stderr)
    sys.exit(LEFT_OUT)


def require_compiler(device):
    """Leaves the peer out where torch.compile cannot make code for the device."""
    if device != "cuda":
        return
    try:
        import triton  # noqa: F401
    except ImportError:
        leave_out("no Triton here, with which torch.compile makes code for GPUs")


def attention_backend(name, device):
    """A context in which scaled_dot_product_attention has one backend: flash or cudnn; any: all of them."""
    if name == "any":
        return contextlib.nullcontext()
    if name == "cudnn" and device != "cuda":
        leave_out("cuDNN's attention is for GPUs")
    if name == "cudnn" and not torch.backends.cudnn.is_available():
        leave_out("this PyTorch has no cuDNN")
    return sdpa_kernel({"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}[name])


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


def cross_entropy(hidden, head, ids):
    logits = F.linear(hidden, head)[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


class HuggingFace(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model = transformers.LlamaForCausalLM(config)
        self.cross_entropy = cross_entropy
        self.generation = {}

    def compile_parts(self):
        """Layer by layer, as compiling takes the time of one layer then, and the head with its loss."""
        for layer in self.model.model.layers:
            layer.compile()
        self.cross_entropy = torch.compile(cross_entropy)

    def loss(self, ids):
        hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state
        return self.cross_entropy(hidden, self.model.lm_head.weight, ids)

    @torch.inference_mode()
    def generate(self, prompts, new_tokens):
        self.model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            pad_token_id=0,
            **self.generation,
        )


class Plain(llama.Llama):
    def __init__(self, shape):
        super().__init__(shape)
        self.cross_entropy = cross_entropy

    def compile_parts(self):
        for layer in self.layers:
            layer.compile()
        self.cross_entropy = torch.compile(cross_entropy)

    def loss(self, ids):
        return self.cross_entropy(self.hidden(ids), self.head.weight, ids)


def make_model(options, dtype=torch.float32):
    """A model with random weights, made on its device, its name and the size of its vocabulary."""
    torch.manual_seed(1)
    shape = read_shape(options.model, options.set)
    torch.set_default_dtype(dtype)
    with torch.device(options.device):
        if transformers:
            model, name = HuggingFace(load_shape(options.model, options.set)), "transformers"
        else:
            model, name = Plain(shape), "PyTorch"
    torch.set_default_dtype(torch.float32)
    return model, name, shape["vocab_size"]


def arguments(parser):
    parser.add_argument("--model", required=True, help="YAML file with its shape")
    parser.add_argument("--set", action="append", default=[], help="key=value of the shape")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def peak_bytes(device):
    """Of the GPU's memory what tensors took, without what the allocator held in reserve."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
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
    print(json.dumps({"peak_bytes": peak_bytes(device)}), flush=True)
