"""attention.json, expected/attention.safetensors: how much some tokens attend to those before them.

For one sequence of sequences.json and its last tokens, NAME.maxima [R, C]: the largest attention weight over all heads
and layers, as transformers computes it with eager attention in fp32. Columns behind a row's own token are 0.
"""

import json

import torch
from safetensors.torch import save_file

from fixture_files import write_json
from model_fixtures import load

MODELS = ["mha_tied", "gqa_untied", "mqa_tied", "mqa_untied"]
SEQUENCE = 4  # of 129 tokens
ROWS = list(range(60, 129, 7)) + [128]


@torch.no_grad()
def maxima(model, ids):
    layers = model(torch.tensor([ids]), output_attentions=True).attentions
    return torch.stack([layer[0].amax(0) for layer in layers]).amax(0)[ROWS]


def make(directory):
    ids = json.loads((directory / "sequences.json").read_text())[SEQUENCE]
    expected = {}
    for name in MODELS:
        model = load(directory / "models" / name, torch.float32)
        found = maxima(model, ids)
        truth = maxima(model.double(), ids)
        error = (found.double() - truth).abs().max()
        print(f"{name}: attention of {len(ROWS)} tokens, largest {found.max():.3f}, off by {error:.1e}")
        assert error < 2e-6, name
        expected[f"{name}.maxima"] = found.contiguous()
    write_json(directory / "attention.json", {"models": MODELS, "rows": ROWS, "sequence": SEQUENCE})
    save_file(expected, directory / "expected" / "attention.safetensors")
