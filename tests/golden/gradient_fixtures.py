"""expected/NAME.gradients.safetensors: gradients of every parameter for one ragged batch.

gradient_batch.json holds the sequences with their labels and weights, in cria's convention:
labels[i] and weights[i] belong to ids[i], which is predicted at position i - 1; -100 is no label.
  loss = sum w (-log p) / sum w
"""

import numpy
import torch
from safetensors.torch import save_file

import reference_llama
from fixture_files import write_json
from model_fixtures import SMALLEST_VOCABULARY, load

MODELS = ["gqa_tied", "gqa_untied"]
LENGTHS = [5, 1, 33, 64, 2, 90]
NO_LABEL = -100


def make_batch():
    """Weights are eighths, so that they and their sum are exact."""
    random = numpy.random.default_rng(23)
    batch = []
    for length in LENGTHS:
        ids = random.integers(3, SMALLEST_VOCABULARY, length).tolist()
        labels = [NO_LABEL if masked else token for token, masked in zip(ids, random.random(length) < 0.2)]
        weights = (random.integers(0, 17, length) / 8).tolist()
        batch.append({"ids": ids, "labels": labels, "weights": weights})
    return batch


def weighted_loss(batch, token_logprobs):
    """token_logprobs(ids): log p of tokens 2..T."""
    total, weight_sum = 0.0, 0.0
    for sequence in batch:
        if len(sequence["ids"]) < 2:
            continue
        weights = torch.tensor(
            [0.0 if label == NO_LABEL else weight
             for label, weight in zip(sequence["labels"][1:], sequence["weights"][1:])]
        )
        total = total - (weights * token_logprobs(sequence["ids"])).sum()
        weight_sum += weights.sum().item()
    return total / weight_sum


def transformers_logprobs(model, ids):
    batch = torch.tensor([ids])
    return model(batch).logits[0, :-1].log_softmax(-1).gather(-1, batch[0, 1:, None])[:, 0]


def make(directory):
    batch = make_batch()
    write_json(directory / "gradient_batch.json", batch)
    for name in MODELS:
        model = load(directory / "models" / name, torch.float32)
        weights = reference_llama.weights_of(model)
        loss = weighted_loss(batch, lambda ids: reference_llama.token_logprobs(model.config, weights, ids))
        loss.backward()
        loss32 = weighted_loss(batch, lambda ids: transformers_logprobs(model, ids))
        loss32.backward()
        worst = max(
            ((p.grad.double() - weights[key].grad).norm() / weights[key].grad.norm()).item()
            for key, p in model.named_parameters()
        )
        assert worst < 1e-5, (name, worst)
        print(f"{name}: loss {loss.item():.6f}, transformers' fp32 gradients off by at most {worst:.1e} relative")
        gradients = {key: weight.grad.float() for key, weight in weights.items()}
        save_file(
            {**gradients, "loss": loss.detach().float()[None]},
            directory / "expected" / f"{name}.gradients.safetensors",
        )
