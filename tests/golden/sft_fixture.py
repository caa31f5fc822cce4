"""sft/: a fine-tuning run of a few steps, from models/gqa_untied, in PyTorch.

  train.jsonl    already tokenized examples {"input_ids", "labels"}: ragged, partly masked
  run.json       the settings; loss, gradient norm before clipping and learning rate of every step
  held_out.json  sequences, and expected.safetensors: their log-probabilities after the run

Step s (from 0) takes the examples s B ... s B + B - 1 in file order, starting over at the end. The loss of a
step is sum w (-log p) / sum w over its batch. AdamW as in Llama 2; the learning rate of step t = 1...N is
peak t/w up to t = w, then a cosine from peak to final_ratio peak at t = N.
"""

import json
import math

import numpy
import sentencepiece
import torch
from safetensors.torch import save_file

import reference_llama
from fixture_files import write_json
from gradient_fixtures import NO_LABEL, transformers_logprobs, weighted_loss
from model_fixtures import load
from tokenizer_fixtures import training_text

SETTINGS = {
    "model": "gqa_untied",
    "max_steps": 20,
    "train_batch_size": 8,
    "learning_rate": 1e-2,
    "warmup_steps": 4,
    "final_ratio": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-5,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
}
EXAMPLES = 61  # not a multiple of the batch: one batch spans the end of the file


def make_examples(tokenizer):
    """Lines of text joined; the first part masked like a prompt, now and then a piece in between."""
    random = numpy.random.default_rng(31)
    lines = iter(training_text())
    examples = []
    for _ in range(EXAMPLES):
        ids = [tokenizer.bos_id()]
        for _ in range(random.integers(1, 5)):
            ids += tokenizer.encode(next(lines))
        ids.append(tokenizer.eos_id())
        labels = list(ids)
        prompt = int(random.integers(0, len(ids) // 2))
        labels[:prompt] = [NO_LABEL] * prompt
        if random.random() < 0.3:
            begin = int(random.integers(prompt, len(ids) - 2))
            labels[begin : begin + 3] = [NO_LABEL] * len(labels[begin : begin + 3])
        examples.append({"input_ids": ids, "labels": labels})
    held_out = [[tokenizer.bos_id()] + tokenizer.encode(next(lines)) for _ in range(6)]
    return examples, held_out


def learning_rate(step):
    peak, final = SETTINGS["learning_rate"], SETTINGS["final_ratio"]
    warmup, steps = SETTINGS["warmup_steps"], SETTINGS["max_steps"]
    if step <= warmup:
        return peak * step / warmup
    progress = (step - warmup) / (steps - warmup)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))


def train(parameters, token_logprobs, examples):
    """parameters: name -> leaf tensor. The same loop serves transformers in fp32 and the reference in double."""
    norms = [p for name, p in parameters.items() if name.endswith("norm.weight")]
    matrices = [p for name, p in parameters.items() if not name.endswith("norm.weight")]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": SETTINGS["weight_decay"]},
            {"params": norms, "weight_decay": 0.0},
        ],
        betas=(SETTINGS["beta1"], SETTINGS["beta2"]),
        eps=SETTINGS["epsilon"],
        foreach=False,
    )
    steps = []
    size = SETTINGS["train_batch_size"]
    for step in range(1, SETTINGS["max_steps"] + 1):
        batch = [examples[i % len(examples)] for i in range((step - 1) * size, step * size)]
        loss = weighted_loss(
            [{"ids": e["input_ids"], "labels": e["labels"], "weights": [1.0] * len(e["labels"])} for e in batch],
            token_logprobs,
        )
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), SETTINGS["max_grad_norm"])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        steps.append(
            {"step": step, "loss": loss.item(), "grad_norm": norm.item(), "learning_rate": learning_rate(step)}
        )
    return steps


def make(directory):
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    examples, held_out = make_examples(tokenizer)
    run_directory = directory / "sft"
    run_directory.mkdir(exist_ok=True)
    (run_directory / "train.jsonl").write_text("".join(json.dumps(e) + "\n" for e in examples))
    write_json(run_directory / "held_out.json", held_out)

    model = load(directory / "models" / SETTINGS["model"], torch.float32)
    truth = reference_llama.weights_of(model)
    true_steps = train(truth, lambda ids: reference_llama.token_logprobs(model.config, truth, ids), examples)
    steps = train(
        dict(model.named_parameters()), lambda ids: transformers_logprobs(model, ids), examples
    )
    with torch.no_grad():
        true_logprobs = torch.cat(
            [reference_llama.token_logprobs(model.config, truth, ids) for ids in held_out]
        )
        logprobs = torch.cat([transformers_logprobs(model, ids) for ids in held_out])

    worst = {
        key: max(abs(step[key] / true[key] - 1) for step, true in zip(steps, true_steps))
        for key in ("loss", "grad_norm")
    }
    worst["log-probabilities"] = (logprobs.double() - true_logprobs).abs().max().item()
    print("sft: transformers' fp32 run against the same in double:", worst)
    assert max(worst.values()) < 3e-5
    clipped = sum(step["grad_norm"] > SETTINGS["max_grad_norm"] for step in steps)
    assert 0 < clipped < len(steps)

    write_json(run_directory / "run.json", {"settings": SETTINGS, "steps": steps, "true_steps": true_steps})
    save_file(
        {"transformers_fp32": logprobs, "truth": true_logprobs.float()},
        run_directory / "expected.safetensors",
    )
