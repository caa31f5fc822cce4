"""ppo/: the mathematics of PPO in PyTorch, in double precision.

  functions.json  whitening, GAE, and the two clipped losses with their gradients. Written as TRL's PPO trainer
                  has them (masked_whiten and masked_mean of padded tensors; its pinned release no longer does),
                  so that padding is there to be ignored. Lists are the answers' tokens, one answer after the other.
  value_model/    a reward model of the policy's vocabulary.
  run.json        a PPO run on given answers: a policy (models/gqa_untied), its reference, and value_model/
                  through two iterations of two epochs over two mini-batches; every loss and gradient norm, and
                  what policy and value model say of held-out sequences in the end.

The run is made twice: in double precision (reference_llama.py), which is kept, and in fp32 by transformers,
which must agree.
"""

import numpy
import torch

import reference_llama
from fixture_files import write_json
from model_fixtures import GoldenModel, build, load, save, shape

EOS = 2
VALUE_MODEL = GoldenModel(
    "value_model", shape(32, 4, 2, 88, 2, 512, False, pad_token_id=0), is_reward_model=True)


def masked_mean(values, mask):
    return (values * mask).sum() / mask.sum()


def masked_whiten(values, mask, shift_mean=True):
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    variance = variance * mask.sum() / (mask.sum() - 1)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return whitened if shift_mean else whitened + mean


def generalized_advantages(rewards, values, mask, gamma, lam):
    """TRL's loop over padded rows. Rewards and values beyond the answers are 0."""
    length = rewards.shape[1]
    last, advantages = 0, []
    for t in reversed(range(length)):
        next_values = values[:, t + 1] if t < length - 1 else 0.0
        delta = rewards[:, t] + gamma * next_values - values[:, t]
        last = delta + gamma * lam * last
        advantages.append(last)
    advantages = torch.stack(advantages[::-1], dim=1) * mask
    return advantages, (advantages + values) * mask


def policy_loss(logprobs, old_logprobs, advantages, mask, cliprange):
    ratio = torch.exp(logprobs - old_logprobs)
    plain = -advantages * ratio
    clipped = -advantages * torch.clamp(ratio, 1.0 - cliprange, 1.0 + cliprange)
    figures = {
        "clipped": masked_mean((clipped > plain).double(), mask).item(),
        "approx_kl": masked_mean(0.5 * (logprobs - old_logprobs) ** 2, mask).item(),
        "ratio": masked_mean(ratio, mask).item(),
    }
    return masked_mean(torch.max(plain, clipped), mask), figures


def value_loss(values, old_values, returns, mask, cliprange):
    bounded = torch.clamp(values, old_values - cliprange, old_values + cliprange)
    plain, clipped = (values - returns) ** 2, (bounded - returns) ** 2
    clipped_share = masked_mean((clipped > plain).double(), mask).item()
    return 0.5 * masked_mean(torch.max(plain, clipped), mask), clipped_share


def pad(rows):
    """Lists of numbers of several lengths -> [B, longest] in double and its mask."""
    longest = max(len(row) for row in rows)
    padded = torch.tensor([list(row) + [0.0] * (longest - len(row)) for row in rows], dtype=torch.double)
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows], dtype=torch.double)
    return padded, mask


def flat(padded, mask):
    return padded.detach()[mask > 0].tolist()


def function_fixture():
    random = numpy.random.default_rng(51)
    lengths = [7, 1, 12, 3, 1, 20]

    def numbers(scale):
        return [[float(numpy.float32(x)) for x in scale * random.standard_normal(n)] for n in lengths]

    rewards, mask = pad(numbers(0.5))
    values, _ = pad(numbers(1.0))
    old_logprobs, _ = pad([[-abs(x) for x in row] for row in numbers(2.0)])
    logprobs = (old_logprobs + pad(numbers(0.3))[0]).float().double().requires_grad_()
    new_values = (values + pad(numbers(0.4))[0]).float().double().requires_grad_()
    fixture = {"lengths": lengths, "gamma": 0.97, "lam": 0.9, "cliprange": 0.2, "cliprange_value": 0.25,
               "vf_coef": 0.1}
    advantages, returns = generalized_advantages(rewards, values, mask, fixture["gamma"], fixture["lam"])
    whitened = masked_whiten(advantages, mask)
    loss, figures = policy_loss(logprobs, old_logprobs, whitened, mask, fixture["cliprange"])
    loss.backward()
    loss_of_values, clipped = value_loss(new_values, values, returns, mask, fixture["cliprange_value"])
    (fixture["vf_coef"] * loss_of_values).backward()
    assert 0 < figures["clipped"] < 1 and 0 < clipped < 1
    named = {"rewards": rewards, "values": values, "advantages": advantages, "returns": returns,
             "whitened_advantages": whitened, "whitened_rewards": masked_whiten(rewards, mask, shift_mean=False),
             "old_logprobs": old_logprobs, "logprobs": logprobs, "logprob_gradients": logprobs.grad,
             "new_values": new_values, "value_gradients": new_values.grad}
    fixture.update({name: flat(values_, mask) for name, values_ in named.items()})
    fixture["policy"] = {"loss": loss.item(), **figures}
    fixture["value"] = {"loss": loss_of_values.item(), "clipped": clipped}
    return fixture


SETTINGS = {
    "policy": "gqa_untied",
    "temperature": 0.7,
    "num_ppo_epochs": 2,
    "num_mini_batches": 2,
    "kl_coef": 0.05,
    "cliprange": 0.2,
    "cliprange_value": 0.2,
    "vf_coef": 0.1,
    "gamma": 1.0,
    "lam": 0.95,
    "learning_rate": 5e-4,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-5,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
}


def make_rollouts(vocab_size):
    """Two iterations of six answers; every third is truncated, one is an eos alone."""
    random = numpy.random.default_rng(52)
    iterations = []
    for _ in range(2):
        rollouts = []
        for i in range(6):
            prompt = [1] + random.integers(3, vocab_size, random.integers(2, 12)).tolist()
            answer = random.integers(3, vocab_size, 0 if i == 4 else random.integers(3, 15)).tolist()
            finished = i % 3 != 0
            if finished:
                answer.append(EOS)
            rollouts.append({"prompt": prompt, "answer": answer, "finished_by_eos": finished,
                             "score": float(numpy.float32(2 * random.standard_normal() + 1))})
        iterations.append(rollouts)
    held_out = [[1] + random.integers(3, vocab_size, n).tolist() for n in (5, 40)]
    return iterations, held_out


class Adam:
    """AdamW without decay on norms, after clipping the norm of this model's gradients."""

    def __init__(self, parameters):
        self.parameters = list(parameters.values())
        norms = [p for name, p in parameters.items() if name.endswith("norm.weight")]
        matrices = [p for name, p in parameters.items() if not name.endswith("norm.weight")]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": SETTINGS["weight_decay"]},
             {"params": norms, "weight_decay": 0.0}],
            lr=SETTINGS["learning_rate"], betas=(SETTINGS["beta1"], SETTINGS["beta2"]),
            eps=SETTINGS["epsilon"], foreach=False)

    def step(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, SETTINGS["max_grad_norm"])
        self.optimizer.step()
        return norm.item()


def train(iterations, policy, reference, value, optimizers):
    """policy(ids), reference(ids): log p of tokens 2..T; value(ids): a score for every token."""
    steps = []
    for rollouts in iterations:
        sequences = [r["prompt"] + r["answer"] for r in rollouts]
        begins = [len(r["prompt"]) - 1 for r in rollouts]  # the row that predicts the first token
        ends = [len(ids) - 1 for ids in sequences]

        def of_answers(model, chosen):
            rows = [model(sequences[i])[begins[i] : ends[i]].double() for i in chosen]
            longest = max(len(row) for row in rows)
            return torch.stack([torch.nn.functional.pad(row, (0, longest - len(row))) for row in rows])

        everyone = range(len(rollouts))
        mask = pad([[1.0] * len(r["answer"]) for r in rollouts])[1]
        with torch.no_grad():
            old_logprobs = of_answers(policy, everyone)
            kl = (old_logprobs - of_answers(reference, everyone)) * mask
            old_values = of_answers(value, everyone)
        scores = torch.tensor([r["score"] for r in rollouts], dtype=torch.double)
        scores = (scores - scores.mean()) * torch.rsqrt(scores.var() + 1e-8)
        rewards = -SETTINGS["kl_coef"] * kl
        for i, rollout in enumerate(rollouts):
            rewards[i, len(rollout["answer"]) - 1] += scores[i]
        advantages, returns = generalized_advantages(
            rewards, old_values, mask, SETTINGS["gamma"], SETTINGS["lam"])
        advantages = masked_whiten(advantages, mask)
        size = len(rollouts) // SETTINGS["num_mini_batches"]
        for _ in range(SETTINGS["num_ppo_epochs"]):
            for begin in range(0, len(rollouts), size):
                chosen = list(range(begin, begin + size))
                width = max(len(rollouts[i]["answer"]) for i in chosen)

                def part(padded):
                    return padded[chosen, :width]

                loss, figures = policy_loss(of_answers(policy, chosen), part(old_logprobs), part(advantages),
                                            part(mask), SETTINGS["cliprange"])
                loss_of_values, clipped = value_loss(of_answers(value, chosen), part(old_values), part(returns),
                                                     part(mask), SETTINGS["cliprange_value"])
                steps.append({
                    "policy_loss": loss.item(), "value_loss": loss_of_values.item(),
                    "policy_clipped": figures["clipped"], "value_clipped": clipped,
                    "approx_kl": figures["approx_kl"], "ratio": figures["ratio"],
                    "policy_grad_norm": optimizers[0].step(loss),
                    "value_grad_norm": optimizers[1].step(SETTINGS["vf_coef"] * loss_of_values),
                })
    return steps


def true_run(policy_model, value_model, iterations, held_out):
    weights = reference_llama.weights_of(policy_model)
    start = {name: weight.detach().clone() for name, weight in weights.items()}
    value_weights = reference_llama.weights_of(value_model)

    def logprobs(of, ids):
        hidden = reference_llama.hidden_states(policy_model.config, of, ids, reference_llama.exactly)[:-1]
        logits = hidden @ of["lm_head.weight"].T / SETTINGS["temperature"]
        return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]

    def value(ids):
        return reference_llama.token_scores(value_model.config, value_weights, ids)

    return finish(iterations, held_out, lambda ids: logprobs(weights, ids), lambda ids: logprobs(start, ids),
                  value, [Adam(weights), Adam(value_weights)])


def transformers_run(directory, policy_model, value_model, iterations, held_out):
    start = load(directory / "models" / SETTINGS["policy"], torch.float32)

    def logprobs(model, ids):
        batch = torch.tensor([ids])
        logits = model(batch).logits[0, :-1] / SETTINGS["temperature"]
        return logits.log_softmax(-1).gather(-1, batch[0, 1:, None])[:, 0]

    def value(ids):
        return value_model.score(value_model.model(torch.tensor([ids])).last_hidden_state)[0, :, 0]

    return finish(iterations, held_out, lambda ids: logprobs(policy_model, ids), lambda ids: logprobs(start, ids),
                  value, [Adam(dict(policy_model.named_parameters())), Adam(dict(value_model.named_parameters()))])


def finish(iterations, held_out, policy, reference, value, optimizers):
    steps = train(iterations, policy, reference, value, optimizers)
    with torch.no_grad():
        return {"steps": steps,
                "logprobs": [x for ids in held_out for x in policy(ids).tolist()],
                "values": [x for ids in held_out for x in value(ids).tolist()]}


def make(directory):
    write_json(directory / "ppo" / "functions.json", function_fixture())

    policy_model = load(directory / "models" / SETTINGS["policy"], torch.float32)
    save(VALUE_MODEL, build(VALUE_MODEL, 150), directory / "ppo" / "value_model")
    value_model = load(directory / "ppo" / "value_model", torch.float32)
    iterations, held_out = make_rollouts(policy_model.config.vocab_size)
    truth = true_run(policy_model, value_model, iterations, held_out)
    fp32 = transformers_run(directory, policy_model, value_model, iterations, held_out)

    def error(true, found):
        return abs(found - true) / max(1, abs(true))

    worst = {}
    for true, step in zip(truth["steps"], fp32["steps"]):
        for name in true:
            worst[name] = max(worst.get(name, 0), error(true[name], step[name]))
    for name in ("logprobs", "values"):
        worst[name] = max(map(error, truth[name], fp32[name]))
    print("ppo: transformers' fp32 run against the same in double:", worst)
    assert max(worst.values()) < 3e-6
    clipped = [step["policy_clipped"] for step in truth["steps"]]
    assert clipped[0] == 0 and max(clipped) > 0 and max(s["value_clipped"] for s in truth["steps"]) > 0
    write_json(directory / "ppo" / "run.json",
               {"settings": SETTINGS, "iterations": iterations, "held_out": held_out, **truth})
