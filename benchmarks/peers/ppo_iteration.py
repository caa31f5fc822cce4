"""../ppo_iteration.py with transformers and PyTorch: one PPO iteration as trl's PPOTrainer does it (padded batches, one
reward model, a value model, a frozen reference), without its logging. bf16 by autocast."""

import argparse
import copy
import time

import torch

import rounds

transformers = rounds.transformers or rounds.leave_out("no transformers here")


def masked_mean(values, mask):
    return (values * mask).sum() / mask.sum()


def whiten(values, mask):
    mean = masked_mean(values, mask)
    centred = (values - mean) * mask
    return centred * torch.rsqrt((centred**2).sum() / (mask.sum() - 1) + 1e-8)


class Iteration:
    """Random weights and prompts: what is computed does not depend on what they are, and no answer ends early."""

    def __init__(self, options):
        config = rounds.load_shape(options.model, options.set)
        config.num_labels, config.pad_token_id = 1, 0
        self.options = options
        self.policy = transformers.LlamaForCausalLM(config).to(options.device)
        self.reference = copy.deepcopy(self.policy).eval()
        self.reward = transformers.LlamaForSequenceClassification(config).to(options.device).eval()
        self.value = copy.deepcopy(self.reward).train()
        adamw = lambda model: torch.optim.AdamW(
            model.parameters(), lr=1e-6, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True
        )
        self.optimizers = [adamw(self.policy), adamw(self.value)]
        self.prompts = torch.randint(
            3, config.vocab_size, (options.prompts, options.prompt_length), device=options.device
        )
        self.seconds = {}

    def timed(self, phase, begin):
        rounds.synchronize(self.options.device)
        self.seconds[phase] = time.perf_counter() - begin

    @torch.no_grad()
    def generate(self):
        self.policy.eval()
        parts = [
            self.policy.generate(
                part, attention_mask=torch.ones_like(part), do_sample=True, top_k=0, top_p=1.0,
                min_new_tokens=self.options.response_length, max_new_tokens=self.options.response_length, pad_token_id=0,
            )
            for part in self.prompts.split(self.options.generation_batch)
        ]
        self.policy.train()
        return torch.cat(parts)

    def logprobs(self, model, ids):
        """Of the answers; the prompts' logits, which nobody wants, are not computed."""
        start = self.prompts.shape[1]
        kept = ids.shape[1] - start + 1
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=kept).logits[:, :-1]
        every = torch.log_softmax(logits.float(), -1)
        return every.gather(-1, ids[:, start:, None]).squeeze(-1)

    def values(self, ids):
        start = self.prompts.shape[1]
        hidden = self.value.model(input_ids=ids, use_cache=False).last_hidden_state
        return self.value.score(hidden[:, start - 1 : -1]).squeeze(-1).float()

    @torch.no_grad()
    def score(self, ids):
        old, kl, values, scores = [], [], [], []
        for part in ids.split(self.options.micro_batch):
            behaviour = self.logprobs(self.policy, part)
            old.append(behaviour)
            kl.append(behaviour - self.logprobs(self.reference, part))
            values.append(self.values(part))
            scores.append(self.reward(input_ids=part).logits.squeeze(-1).float())
        old, kl, values, scores = (torch.cat(parts) for parts in (old, kl, values, scores))
        rewards = -0.01 * kl
        rewards[:, -1] += (scores - scores.mean()) / (scores.std() + 1e-8)
        advantages = torch.zeros_like(values)
        last = torch.zeros_like(scores)
        for t in reversed(range(values.shape[1])):
            following = values[:, t + 1] if t + 1 < values.shape[1] else 0.0
            last = rewards[:, t] + following - values[:, t] + 0.95 * last
            advantages[:, t] = last
        returns = advantages + values
        return old, values, whiten(advantages, torch.ones_like(advantages)), returns

    def update(self, ids, old, old_values, advantages, returns):
        order = torch.randperm(len(ids))
        for mini in order.split(len(ids) // self.options.mini_batches):
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            for micro in mini.split(self.options.micro_batch):
                share = len(micro) / len(mini)
                ratio = torch.exp(self.logprobs(self.policy, ids[micro]) - old[micro])
                policy_loss = torch.max(
                    -advantages[micro] * ratio, -advantages[micro] * torch.clamp(ratio, 0.8, 1.2)
                ).mean()
                values = self.values(ids[micro])
                clipped = torch.clamp(values, old_values[micro] - 0.2, old_values[micro] + 0.2)
                value_loss = 0.5 * torch.max((values - returns[micro]) ** 2, (clipped - returns[micro]) ** 2).mean()
                (share * (policy_loss + 0.1 * value_loss)).backward()
            for model, optimizer in zip((self.policy, self.value), self.optimizers):
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

    def __call__(self):
        with torch.autocast(self.options.device, torch.bfloat16, enabled=self.options.precision == "bf16"):
            return self.iterate()

    def iterate(self):
        begin = time.perf_counter()
        ids = self.generate()
        self.timed("rollout", begin)
        begin = time.perf_counter()
        scored = self.score(ids)
        self.timed("scoring", begin)
        begin = time.perf_counter()
        self.update(ids, *scored)
        self.timed("update", begin)
        return self.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--prompt-length", type=int, default=32)
    parser.add_argument("--response-length", type=int, default=64)
    parser.add_argument("--generation-batch", type=int, default=64)
    parser.add_argument("--mini-batches", type=int, default=8)
    parser.add_argument("--micro-batch", type=int, default=8)
    options = rounds.arguments(parser)
    torch.manual_seed(1)
    rounds.take_turns("transformers " + options.precision, options.prompts, options.device, Iteration(options))


main()
