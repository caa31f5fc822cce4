"""../generation.cpp in PyTorch."""

import argparse

import torch

import rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prompt-length", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--static", action="store_true", help="transformers' static cache, which compiles decoding on a GPU")
    parser.add_argument("--dynamic", action="store_true", help="transformers' usual cache, and no other model")
    options = rounds.arguments(parser)
    if options.dynamic and not rounds.transformers:
        rounds.leave_out("no transformers here")
    static = options.static and rounds.transformers
    if static:
        rounds.require_compiler(options.device)
    dtype = torch.float32 if options.precision == "fp32" else torch.bfloat16
    model, name, vocab_size = rounds.make_model(options, dtype)
    model = model.to(options.device, dtype).eval()
    if static:
        model.generation = {"cache_implementation": "static"}
        name += ", static cache"
    prompts = torch.randint(3, vocab_size, (options.batch, options.prompt_length), device=options.device)

    def generate():
        model.generate(prompts, options.new_tokens)

    rounds.take_turns(f"{name} {options.precision}", options.batch * options.new_tokens, options.device, generate)


main()
