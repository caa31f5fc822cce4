"""../training_step.cpp in PyTorch: fused AdamW, bf16 by autocast."""

import argparse

import torch

import rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    options = rounds.arguments(parser)
    model, name, vocab_size = rounds.make_model(options)
    model = model.to(options.device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True
    )
    ids = torch.randint(0, vocab_size, (options.sequences, options.length), device=options.device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bf16"):
            loss = model.loss(ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    rounds.take_turns(f"{name} {options.precision}", ids.numel(), options.device, step)


main()
