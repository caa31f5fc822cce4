"""rope.safetensors: rotary frequencies and angles as transformers computes them, bit by bit."""

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SHAPES = [(2, 10000.0), (8, 10000.0), (16, 10000.0), (48, 10000.0), (64, 10000.0), (64, 500000.0),
          (100, 10000.0), (128, 10000.0), (128, 1000000.0)]
POSITIONS = [0, 1, 2, 3, 17, 100, 511, 512, 1000, 2047, 2048, 3001, 4094, 4095]


def make(directory):
    tensors = {"positions": torch.tensor(POSITIONS, dtype=torch.float32)}
    for head_dim, theta in SHAPES:
        config = LlamaConfig(
            hidden_size=head_dim, num_attention_heads=1, head_dim=head_dim,
            rope_parameters={"rope_type": "default", "rope_theta": theta},
        )
        rotary = LlamaRotaryEmbedding(config)
        cos, sin = rotary(torch.zeros(1), torch.tensor([POSITIONS]))
        name = f"{head_dim}.{int(theta)}"
        tensors[f"inverse_frequencies.{name}"] = rotary.inv_freq.clone()
        tensors[f"cos.{name}"] = cos[0, :, : head_dim // 2].clone()
        tensors[f"sin.{name}"] = sin[0, :, : head_dim // 2].clone()
    save_file(tensors, directory / "rope.safetensors")
