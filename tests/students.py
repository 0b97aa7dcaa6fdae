"""A student that is made in a second: the architecture and tokenizer of a real one, with few and random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memory_agent.config import Settings
from memory_agent.models.weights import find_student


def tiny_student(folder: Path, seed: int = 0, *, teachable: bool = False) -> Path:
    """Write a model folder with SmolLM2's tokenizer and two random layers of width 32; the same for the same seed.

    Of a `teachable` one the tokens lie far enough apart for an adapter to learn an answer by heart.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(find_student(Settings()).folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = LlamaForCausalLM(config)
    if teachable:
        with torch.no_grad():
            model.model.embed_tokens.weight.mul_(25)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def gpt2_student(student: Path, folder: Path) -> Path:
    """Write a random model of another architecture, GPT-2's, with the tokenizer of the model in `student`."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer: Any = AutoTokenizer.from_pretrained(student)
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=256, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def random_adapter(student: Path, folder: Path, seed: int = 0, strength: float = 0.5) -> Path:
    """Write a PEFT adapter folder with random weights, strong enough to change what the student says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_pretrained(student)
    tuned: Any = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weights in tuned.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, strength)
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    return folder
