"""../training_step.cpp in PyTorch: fused AdamW. In bf16 weights, gradients and moments are fp32 under autocast, or with
--state bf16 all of them in bf16."""

import argparse

import torch

import rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--micro-batch-tokens", type=int, default=0, help="0: all at once")
    parser.add_argument("--state", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--attention", choices=["any", "flash", "cudnn"], default="any")
    options = rounds.arguments(parser)
    if options.compile:
        rounds.require_compiler(options.device)
    attention = lambda: rounds.attention_backend(options.attention, options.device)
    attention()
    pure = options.precision == "bf16" and options.state == "bf16"
    model, name, vocab_size = rounds.make_model(options, torch.bfloat16 if pure else torch.float32)
    model = model.to(options.device).train()
    if options.compile:
        model.compile_parts()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True
    )
    ids = torch.randint(0, vocab_size, (options.sequences, options.length), device=options.device)
    rows = max(1, options.micro_batch_tokens // options.length) if options.micro_batch_tokens else options.sequences

    def step():
        optimizer.zero_grad(set_to_none=True)
        for micro in ids.split(rows):
            with torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bf16" and not pure), attention():
                loss = model.loss(micro) * (len(micro) / len(ids))
                loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    words = [name, options.precision + (" throughout" if pure else "")]
    words += ["compiled"] if options.compile else []
    words += [f"{options.attention} attention"] if options.attention != "any" else []
    rounds.take_turns(", ".join(words), ids.numel(), options.device, step)


main()
