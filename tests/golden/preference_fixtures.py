"""preferences/: the losses of reward models and of DPO on a few ragged pairs, with their gradients.

  pairs.jsonl    pairs as cria reads them: already tokenized, with ratings, margins and safety labels, some
                 of them missing; eos inside prompts, and answers that end without one
  reward.json    models/reward: the score of every answer; for every case its settings, metrics and dL/dscore
  dpo.json       models/gqa_tied as policy, reference/ as reference: log-probabilities of the answers; for every
                 case its settings, metrics and dL/dlogprob of the answers
  CASE.gradients.safetensors   gradients of all parameters

Losses are written out from the formulas of trainers/reward_loss.h and trainers/dpo_loss.h, in double. Where TRL
has the same loss, its own trainers' code computes it too, in fp32, and must agree.
"""

import collections
import json
import types

import numpy
import torch
from safetensors.torch import save_file
from torch.nn.functional import logsigmoid
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer

import reference_llama
from fixture_files import write_json
from gradient_fixtures import NO_LABEL
from model_fixtures import SMALLEST_VOCABULARY, load

EOS = 2
RATINGS = ["significantly_better", "better", "slightly_better", "negligibly_better"]
MARGINS = {"small": [1, 2 / 3, 1 / 3, 0], "large": [3, 2, 1, 0]}  # table 27 of Llama 2

REWARD_CASES = {
    "none": {"margin": "none"},
    "small": {"margin": "small"},
    "large": {"margin": "large"},
    "example": {"margin": "example"},
    "centred": {"margin": "none", "center_rewards_coefficient": 0.25},
    "safety": {"margin": "none", "safety_loss_weight": 0.5},
    "all": {"margin": "large", "center_rewards_coefficient": 0.125, "safety_loss_weight": 0.75},
}
DPO_CASES = {
    "sigmoid": {"beta": 0.1, "loss_type": "sigmoid"},
    "smoothed": {"beta": 0.5, "loss_type": "sigmoid", "label_smoothing": 0.125},
    "ipo": {"beta": 0.25, "loss_type": "ipo"},
}
GRADIENTS = {"reward": ["all"], "dpo": ["smoothed", "ipo"]}


def make_pairs():
    random = numpy.random.default_rng(45)
    lengths = [(12, 20, 9), (3, 1, 40), (30, 33, 2), (5, 7, 7), (17, 64, 31), (2, 11, 25)]  # prompt, answers
    pairs = []
    for number, (prompt_length, *answer_lengths) in enumerate(lengths):
        prompt = [1] + random.integers(3, SMALLEST_VOCABULARY, prompt_length).tolist()
        if number % 2 == 0:
            prompt[prompt_length // 2] = EOS  # of an earlier turn
        pair = {}
        for name, length in zip(("chosen", "rejected"), answer_lengths):
            answer = random.integers(3, SMALLEST_VOCABULARY, length).tolist()
            if number != 3:
                answer.append(EOS)
            pair[f"{name}_input_ids"] = prompt + answer
            pair[f"{name}_labels"] = [NO_LABEL] * len(prompt) + answer
        if number < 4:
            pair["rating"] = RATINGS[number]
        if number != 1:
            pair["margin"] = float(random.integers(0, 9)) / 4
        if number != 2:
            pair["chosen_safe"] = bool(number % 2)
        if number in (0, 2, 5):
            pair["rejected_safe"] = number == 5
        pairs.append(pair)
    return pairs


def margin_of(pair, kind):
    if kind == "none":
        return 0.0
    if kind == "example":
        return pair.get("margin", 0.0)
    return MARGINS[kind][RATINGS.index(pair["rating"])] if "rating" in pair else 0.0


def reward_loss(chosen, rejected, pairs, case):
    margins = torch.tensor([margin_of(pair, case["margin"]) for pair in pairs], dtype=chosen.dtype)
    loss = -logsigmoid(chosen - rejected - margins).mean()
    loss = loss + case.get("center_rewards_coefficient", 0.0) * (chosen + rejected).pow(2).mean()
    if case.get("safety_loss_weight", 0.0) > 0:
        terms = [
            -logsigmoid(scores[i] if pair[f"{name}_safe"] else -scores[i])
            for name, scores in (("chosen", chosen), ("rejected", rejected))
            for i, pair in enumerate(pairs)
            if f"{name}_safe" in pair
        ]
        loss = loss + case["safety_loss_weight"] * torch.stack(terms).mean()
    return loss


def dpo_loss(policy, reference, lengths, case):
    """policy, reference, lengths: [2, P], of chosen and of rejected answers."""
    ratios = policy - reference
    rewards = case["beta"] * ratios
    if case["loss_type"] == "ipo":
        ratios = ratios / lengths
        u = ratios[0] - ratios[1]
        return (u - 1 / (2 * case["beta"])).pow(2).mean(), rewards
    u = ratios[0] - ratios[1]
    smoothing = case.get("label_smoothing", 0.0)
    losses = -(1 - smoothing) * logsigmoid(case["beta"] * u) - smoothing * logsigmoid(-case["beta"] * u)
    return losses.mean(), rewards


def trl_trainer(**more):
    """What compute_loss of TRL's trainers reads of its trainer, without one."""
    one_process = types.SimpleNamespace(
        device="cpu", gather=lambda values: values, gather_for_metrics=lambda values: values
    )
    return types.SimpleNamespace(
        model=types.SimpleNamespace(training=False),
        accelerator=one_process,
        _metrics={"eval": collections.defaultdict(list)},
        _total_train_tokens=0,
        **more,
    )


def trl_reward_loss(scores, pairs, case):
    """scores: [2, P]. Loss and metrics."""
    trainer = trl_trainer(
        args=types.SimpleNamespace(center_rewards_coefficient=case.get("center_rewards_coefficient"))
    )
    outputs = types.SimpleNamespace(logits=scores.float().reshape(-1, 1))
    inputs = {"margin": torch.tensor([margin_of(pair, case["margin"]) for pair in pairs])}
    loss = RewardTrainer.compute_loss(trainer, lambda **_: outputs, inputs)
    return loss, {name: values[-1] for name, values in trainer._metrics["eval"].items() if name != "num_tokens"}


def trl_dpo_loss(policy, reference, lengths, case):
    """As dpo_loss. TRL sums per-token log-probabilities; an answer's are spread evenly over its tokens."""
    trainer = trl_trainer(
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[case["loss_type"]],
        loss_weights=[1.0],
        beta=case["beta"],
        use_weighting=False,
    )
    counts = lengths.reshape(-1, 1)
    mask = (torch.arange(int(counts.max()) + 1) > int(counts.max()) - counts).long()  # answers at the right
    logprobs = (mask * policy.float().reshape(-1, 1) / counts)[:, 1:].float()
    nothing = torch.zeros_like(logprobs)
    outputs = types.SimpleNamespace(log_probs=logprobs, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())
    inputs = {
        "input_ids": mask,
        "completion_mask": mask,
        "ref_chosen_logps": reference[0].float(),
        "ref_rejected_logps": reference[1].float(),
    }
    loss = DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    return loss, {name: values[-1] for name, values in trainer._metrics["eval"].items() if name[:4] in ("rewa", "logp")}


def close(value, truth, what):
    """fp32 figures that are sums and differences of values of order 1 or more."""
    value, truth = float(torch.as_tensor(value).detach()), float(torch.as_tensor(truth).detach())
    assert abs(value - truth) < 1e-5 * max(abs(truth), 1.0), (what, value, truth)


def ids_of(pairs, name):
    return [pair[f"{name}_input_ids"] for pair in pairs]


def make_reward(directory, pairs):
    model = load(directory.parent / "models" / "reward", torch.float32)
    weights = reference_llama.weights_of(model)
    scores = torch.stack(
        [
            torch.stack([reference_llama.token_scores(model.config, weights, ids)[-1] for ids in ids_of(pairs, name)])
            for name in ("chosen", "rejected")
        ]
    )
    with torch.no_grad():
        for name, truth in zip(("chosen", "rejected"), scores):
            for ids, score in zip(ids_of(pairs, name), truth):
                close(model(torch.tensor([ids])).logits[0, 0], score, "transformers' score")
    result = {"model": "reward", "scores": scores.tolist(), "cases": {}}
    for name, case in REWARD_CASES.items():
        values = scores.detach().requires_grad_()
        loss = reward_loss(values[0], values[1], pairs, case)
        loss.backward()
        if name in GRADIENTS["reward"]:
            save_gradients(directory / f"reward_{name}.gradients.safetensors", weights, scores, values.grad)
        metrics = {
            "accuracy": (scores[0] > scores[1]).double().mean().item(),
            "margin": (scores[0] - scores[1]).mean().item(),
            "min_reward": scores.min().item(),
            "mean_reward": scores.mean().item(),
            "max_reward": scores.max().item(),
        }
        if "safety_loss_weight" not in case:  # TRL has no such loss
            trl_loss, trl_metrics = trl_reward_loss(scores.detach(), pairs, case)
            close(trl_loss, loss, f"TRL's loss of {name}")
            for key, value in metrics.items():
                close(trl_metrics[key], value, f"TRL's {key} of {name}")
        result["cases"][name] = {
            "settings": case,
            "metrics": {"loss": loss.item(), **metrics},
            "score_gradients": values.grad.tolist(),
        }
    return result


def save_gradients(path, weights, outputs, output_gradients):
    """Of a loss whose gradient by `outputs` is known."""
    gradients = torch.autograd.grad(
        outputs, list(weights.values()), grad_outputs=output_gradients.double(), retain_graph=True
    )
    save_file({name: gradient.float() for name, gradient in zip(weights, gradients)}, path)


def answer_logprobs(config, weights, pairs):
    rows = []
    for name in ("chosen", "rejected"):
        row = []
        for pair in pairs:
            labels = torch.tensor(pair[f"{name}_labels"][1:])
            logprobs = reference_llama.token_logprobs(config, weights, pair[f"{name}_input_ids"])
            row.append(logprobs[labels != NO_LABEL].sum())
        rows.append(torch.stack(row))
    return torch.stack(rows)


def disturbed(weights):
    """Another model of the same shape: the reference, each weight off by a few percent."""
    random = numpy.random.default_rng(43)
    return {
        name: w.detach() * torch.from_numpy(1 + 0.05 * random.standard_normal(tuple(w.shape)))
        for name, w in weights.items()
    }


def write_reference(directory, config_directory, weights):
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_bytes((config_directory / "config.json").read_bytes())
    save_file({name: w.float() for name, w in weights.items()}, directory / "model.safetensors", {"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)


def make_dpo(directory, pairs):
    policy_directory = directory.parent / "models" / "gqa_tied"
    model = load(policy_directory, torch.float32)
    weights = reference_llama.weights_of(model)
    reference_directory = directory / "reference"
    write_reference(reference_directory, policy_directory, disturbed(weights))
    reference_weights = reference_llama.weights_of(load(reference_directory, torch.float32))
    policy = answer_logprobs(model.config, weights, pairs)
    with torch.no_grad():
        reference = answer_logprobs(model.config, reference_weights, pairs)
    lengths = torch.tensor(
        [[sum(label != NO_LABEL for label in pair[f"{name}_labels"]) for pair in pairs] for name in ("chosen", "rejected")]
    ).double()
    result = {
        "model": "gqa_tied",
        "reference": "preferences/reference",
        "logprobs": policy.tolist(),
        "reference_logprobs": reference.tolist(),
        "cases": {},
    }
    for name, case in DPO_CASES.items():
        values = policy.detach().requires_grad_()
        loss, rewards = dpo_loss(values, reference, lengths, case)
        loss.backward()
        if name in GRADIENTS["dpo"]:
            save_gradients(directory / f"dpo_{name}.gradients.safetensors", weights, policy, values.grad)
        metrics = {
            "rewards/chosen": rewards[0].mean().item(),
            "rewards/rejected": rewards[1].mean().item(),
            "rewards/accuracies": (rewards[0] > rewards[1]).double().mean().item(),
            "rewards/margins": (rewards[0] - rewards[1]).mean().item(),
            "logps/chosen": policy[0].mean().item(),
            "logps/rejected": policy[1].mean().item(),
        }
        if "label_smoothing" not in case:  # TRL has no such loss any more
            trl_loss, trl_metrics = trl_dpo_loss(policy.detach(), reference, lengths, case)
            close(trl_loss, loss, f"TRL's loss of {name}")
            for key, value in metrics.items():
                close(trl_metrics[key], value, f"TRL's {key} of {name}")
        result["cases"][name] = {
            "settings": case,
            "metrics": {"loss": loss.item(), **metrics},
            "logprob_gradients": values.grad.tolist(),
        }
    return result


def make(directory):
    pairs = make_pairs()
    preferences = directory / "preferences"
    preferences.mkdir(exist_ok=True)
    (preferences / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    write_json(preferences / "reward.json", make_reward(preferences, pairs))
    write_json(preferences / "dpo.json", make_dpo(preferences, pairs))
