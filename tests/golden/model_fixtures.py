"""models/NAME: Hugging Face directories; expected/NAME.safetensors: what they compute.

Every file in expected/ holds, for the sequences of sequences.json one after the other,
log-probabilities of tokens 2..T of each sequence, or for the reward model the score at each token:
  truth                                 in double precision
  stored_in_bf16                        in double precision, with tensors rounded to bf16 in between
  transformers_fp32, transformers_bf16  as transformers computes them
"""

import json
import shutil
from dataclasses import dataclass

import numpy
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig
from transformers import LlamaForCausalLM, LlamaForSequenceClassification

import reference_llama
from fixture_files import write_json

SEQUENCE_LENGTHS = [2, 3, 17, 64, 129, 511, 512]
SMALLEST_VOCABULARY = 320


@dataclass
class GoldenModel:
    name: str
    shape: dict
    stored_as: torch.dtype = torch.float32
    top_level_rope_theta: bool = False  # as written before transformers 5
    max_shard_size: str = "1GB"
    is_reward_model: bool = False
    with_tokenizer: bool = False


def shape(hidden, heads, kv_heads, intermediate, layers, vocabulary, tied, theta=10000.0, **more):
    return dict(
        hidden_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        **more,
    )


MODELS = [
    GoldenModel("mha_tied", shape(64, 4, 4, 172, 3, 331, True), torch.bfloat16, top_level_rope_theta=True),
    GoldenModel("mha_untied", shape(48, 3, 3, 100, 2, 320, False), torch.float16),
    GoldenModel("gqa_tied", shape(32, 4, 2, 88, 2, 320, True), top_level_rope_theta=True),
    GoldenModel("gqa_untied", shape(32, 4, 2, 88, 2, 512, False), with_tokenizer=True),
    GoldenModel("mqa_tied", shape(32, 4, 1, 72, 2, 320, True, head_dim=16), max_shard_size="40KB"),
    GoldenModel("mqa_untied", shape(32, 8, 1, 64, 2, 320, False, theta=500000.0), torch.bfloat16),
    GoldenModel("reward", shape(32, 4, 2, 88, 2, 320, False, pad_token_id=0), is_reward_model=True),
]


def build(golden, seed):
    """Weights from numpy, whose generator gives the same bits on every machine. Their spread makes
    attention choose and predictions differ, as in a trained model."""
    config = LlamaConfig(attn_implementation="eager", **golden.shape)
    if golden.is_reward_model:
        config.num_labels = 1
    model = (LlamaForSequenceClassification if golden.is_reward_model else LlamaForCausalLM)(config)
    random = numpy.random.default_rng(seed)
    spread = 0.9 / config.hidden_size**0.5
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.from_numpy(random.standard_normal(tuple(parameter.shape), dtype=numpy.float32))
            parameter.copy_(1 + 0.1 * noise if name.endswith("norm.weight") else spread * noise)
    return model.to(golden.stored_as)


def use_top_level_rope_theta(config_file):
    config = json.loads(config_file.read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = None
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.31.0"
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save(golden, model, directory):
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory, max_shard_size=golden.max_shard_size)
    if golden.top_level_rope_theta:
        use_top_level_rope_theta(directory / "config.json")
    for weights in directory.glob("*.safetensors"):
        weights.chmod(0o644)
    if golden.with_tokenizer:
        shutil.copy(directory.parent.parent / "tokenizer.model", directory / "tokenizer.model")


def load(directory, dtype):
    is_reward_model = "SequenceClassification" in (directory / "config.json").read_text()
    kind = AutoModelForSequenceClassification if is_reward_model else AutoModelForCausalLM
    return kind.from_pretrained(directory, dtype=dtype, attn_implementation="eager").eval()


def make_sequences():
    random = numpy.random.default_rng(11)
    return [
        [1] + random.integers(3, SMALLEST_VOCABULARY, length - 1).tolist() for length in SEQUENCE_LENGTHS
    ]


@torch.no_grad()
def transformers_outputs(model, sequences):
    """Log-probabilities, or scores for a reward model; one sequence at a time, no padding."""
    outputs = []
    for ids in sequences:
        batch = torch.tensor([ids])
        if hasattr(model, "score"):
            hidden = model.model(batch).last_hidden_state
            scores = model.score(hidden)[0, :, 0].float()
            assert torch.allclose(model(batch).logits[0, 0].float(), scores[-1], rtol=1e-5, atol=1e-6)
            outputs.append(scores)
        else:
            logprobs = model(batch).logits[0, :-1].float().log_softmax(-1)
            outputs.append(logprobs.gather(-1, batch[0, 1:, None])[:, 0])
    return torch.cat(outputs)


@torch.no_grad()
def reference_outputs(model, sequences, store):
    compute = reference_llama.token_scores if hasattr(model, "score") else reference_llama.token_logprobs
    weights = {name: store(weight) for name, weight in reference_llama.weights_of(model).items()}
    return torch.cat([compute(model.config, weights, ids, store) for ids in sequences])


def make(directory):
    sequences = make_sequences()
    write_json(directory / "sequences.json", sequences)
    (directory / "expected").mkdir(exist_ok=True)
    for seed, golden in enumerate(MODELS):
        model_directory = directory / "models" / golden.name
        save(golden, build(golden, 100 + seed), model_directory)
        model = load(model_directory, torch.float32)
        truth = reference_outputs(model, sequences, reference_llama.exactly)
        outputs = {
            "transformers_fp32": transformers_outputs(model, sequences),
            "transformers_bf16": transformers_outputs(load(model_directory, torch.bfloat16), sequences),
            "stored_in_bf16": reference_outputs(model, sequences, reference_llama.in_bf16),
        }
        print(f"{golden.name}: mean {truth.mean():.3f}, deviation {truth.std():.3f}")
        for name, values in outputs.items():
            error = values.double() - truth
            print(f"  {name}: off by {error.abs().max():.1e}, root mean square {error.pow(2).mean().sqrt():.1e}")
        assert (outputs["transformers_fp32"].double() - truth).abs().max() < 1e-5, golden.name
        save_file(
            {"truth": truth.float(), **{name: values.float() for name, values in outputs.items()}},
            directory / "expected" / f"{golden.name}.safetensors",
        )
