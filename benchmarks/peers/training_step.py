"""../training_step.cpp in PyTorch: transformers' Llama, fused AdamW, bf16 by autocast."""

import argparse

import torch
import transformers

import rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    options = rounds.arguments(parser)
    torch.manual_seed(1)
    config = rounds.load_shape(options.model, options.set)
    model = transformers.LlamaForCausalLM(config).to(options.device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True
    )
    ids = torch.randint(0, config.vocab_size, (options.sequences, options.length), device=options.device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bf16"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    rounds.take_turns(f"PyTorch {options.precision}", ids.numel(), options.device, step)


main()
