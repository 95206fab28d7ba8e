"""Writes a tiny Qwen2 of random weights, its byte-level tokenizer and a LoRA adapter: what a real vLLM can serve without a download.

    make_model.py FOLDER    makes FOLDER/model (in two files) and FOLDER/adapter

Everything is the same at each run: a fixed seed, no clock.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

LAYERS = 2
HIDDEN = 64
# vLLM's attention on a CPU knows heads of 32, but none smaller.
HEADS = 2
HEAD = HIDDEN // HEADS
INNER = 128
LENGTH = 512
END, BEGIN_TURN, END_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [END, BEGIN_TURN, END_TURN]
# The 256 bytes and the special ones, filled up to a multiple of 64.
VOCABULARY = 320
RANK = 8
ADAPTED = ["q_proj", "v_proj"]
CHAT = (
    "{% for message in messages %}"
    f"{BEGIN_TURN}" + "{{ message.role }}\n{{ message.content }}" + f"{END_TURN}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}" + f"{BEGIN_TURN}assistant\n" + "{% endif %}"
)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def random(*shape: int) -> torch.Tensor:
    return (torch.randn(*shape) * 0.02).to(torch.bfloat16)


def write_model(folder: Path) -> None:
    write_json(
        folder / "config.json",
        {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_size": HIDDEN,
            "intermediate_size": INNER,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "max_position_embeddings": LENGTH,
            "max_window_layers": LAYERS,
            "vocab_size": VOCABULARY,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "bos_token_id": 256,
            "eos_token_id": 256,
            "torch_dtype": "bfloat16",
        },
    )
    ends = {
        "model.embed_tokens.weight": random(VOCABULARY, HIDDEN),
        "model.norm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16),
        "lm_head.weight": random(VOCABULARY, HIDDEN),
    }
    layers = {}
    for n in range(LAYERS):
        at = f"model.layers.{n}"
        for name in ("q_proj", "k_proj", "v_proj"):
            layers[f"{at}.self_attn.{name}.weight"] = random(HIDDEN, HIDDEN)
            layers[f"{at}.self_attn.{name}.bias"] = random(HIDDEN)
        layers[f"{at}.self_attn.o_proj.weight"] = random(HIDDEN, HIDDEN)
        layers[f"{at}.mlp.gate_proj.weight"] = random(INNER, HIDDEN)
        layers[f"{at}.mlp.up_proj.weight"] = random(INNER, HIDDEN)
        layers[f"{at}.mlp.down_proj.weight"] = random(HIDDEN, INNER)
        for name in ("input_layernorm", "post_attention_layernorm"):
            layers[f"{at}.{name}.weight"] = torch.ones(HIDDEN, dtype=torch.bfloat16)
    # Two files, so that the bar of the shards has something to count.
    names = {}
    for number, tensors in enumerate([ends, layers], start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file(tensors, folder / file, metadata={"format": "pt"})
        names |= dict.fromkeys(tensors, file)
    size = sum(t.numel() * t.element_size() for part in (ends, layers) for t in part.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": names})


def write_tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": END,
            "model_max_length": LENGTH,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT,
        },
    )


def write_adapter(folder: Path) -> None:
    write_json(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "tiny",
            "r": RANK,
            "lora_alpha": 2 * RANK,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "modules_to_save": None,
            "target_modules": ADAPTED,
        },
    )
    tensors = {}
    for n in range(LAYERS):
        for name in ADAPTED:
            at = f"base_model.model.model.layers.{n}.self_attn.{name}"
            # Large enough that the adapter answers something else than its base model.
            tensors[f"{at}.lora_A.weight"] = random(RANK, HIDDEN) * 50
            tensors[f"{at}.lora_B.weight"] = random(HIDDEN, RANK) * 50
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    for name, parts in {"model": (write_model, write_tokenizer), "adapter": (write_adapter,)}.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for part in parts:
            part(folder / name)


if __name__ == "__main__":
    main()
