"""../generation.cpp with transformers' generate()."""

import argparse

import torch
import transformers

import rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prompt-length", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=256)
    options = rounds.arguments(parser)
    torch.manual_seed(1)
    config = rounds.load_shape(options.model, options.set)
    dtype = torch.float32 if options.precision == "fp32" else torch.bfloat16
    model = transformers.LlamaForCausalLM(config).to(options.device, dtype).eval()
    prompts = torch.randint(3, config.vocab_size, (options.batch, options.prompt_length), device=options.device)

    @torch.inference_mode()
    def generate():
        model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=options.new_tokens,
            max_new_tokens=options.new_tokens,
            pad_token_id=0,
        )

    rounds.take_turns(
        f"transformers {options.precision}", options.batch * options.new_tokens, options.device, generate
    )


main()
