"""Checks that transformers scores with a reward model as cria does, that cria trained from a language model.

    python tests/golden/check_reward.py build/cria

A few steps on preferences/pairs.jsonl from models/gqa_untied; then the answers of the pairs in one batch, padded
at the right as transformers' users do, against `cria score`. Some prompts have an eos in them, most answers end
with one: the score must be read at the last token in any case.
"""

import set_up  # before torch

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

GOLDEN = Path(__file__).resolve().parent
SETTINGS = {
    "model.path": GOLDEN / "models" / "gqa_untied",
    "data.train": f"[{{path: {GOLDEN / 'preferences' / 'pairs.jsonl'}}}]",
    "data.max_length": 128,
    "training.train_batch_size": 3,
    "training.max_steps": 4,
    "optimizer.learning_rate": 1e-3,
}


def main():
    if len(sys.argv) != 2:
        sys.exit("error: name the cria binary")
    cria = sys.argv[1]
    pairs = [json.loads(line) for line in (GOLDEN / "preferences" / "pairs.jsonl").read_text().splitlines()]
    answers = [pair[f"{name}_input_ids"] for pair in pairs for name in ("chosen", "rejected")]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        settings = {**SETTINGS, "training.output_dir": directory / "run"}
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        subprocess.run([cria, "reward", *words], check=True, stdout=subprocess.DEVNULL)
        model_directory = directory / "run" / "final"
        (directory / "ids.jsonl").write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in answers))
        scores = directory / "scores.jsonl"
        subprocess.run(
            [cria, "score", "--model", model_directory, "--data", directory / "ids.jsonl", "--output", scores],
            check=True,
        )
        ours = torch.tensor([json.loads(line)["reward"] for line in scores.read_text().splitlines()])

        model = AutoModelForSequenceClassification.from_pretrained(model_directory, dtype=torch.float32).eval()
        AutoTokenizer.from_pretrained(model_directory)
    pad, longest = model.config.pad_token_id, max(map(len, answers))
    ids = torch.tensor([answer + [pad] * (longest - len(answer)) for answer in answers])
    mask = torch.tensor([[1] * len(answer) + [0] * (longest - len(answer)) for answer in answers])
    with torch.no_grad():
        theirs = model(ids, attention_mask=mask).logits[:, 0]
    distance = (ours - theirs).abs().max().item()
    if model.config.num_labels != 1 or distance > 1e-5:
        sys.exit(f"error: {model.config.num_labels} labels, scores differ by {distance}")
    print(f"reward model: {len(answers)} scores of {type(model).__name__}, off by {distance:.1e} at most")


if __name__ == "__main__":
    main()
