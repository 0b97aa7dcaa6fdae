"""GGUF files for llama.cpp and what is built on it: a whole checkpoint, or a LoRA for a base that is there already.

Names of tensors and keys are those of the `gguf` package; Llama's query and key rows are put in the order of the
original weights, which llama.cpp's rotary embedding expects. Architectures and pre-tokenizers are those listed here;
others are refused, as llama.cpp's own convert_hf_to_gguf.py reads a merged checkpoint of any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_agent.errors import InvalidInput, MissingExtra
from memory_agent.models.template import ChatFormat
from memory_agent.models.turns import Turns

QUANTIZATIONS = ("f32", "f16", "bf16", "q8_0", "q5_0", "q4_0")
"""Number formats of the matrices; vectors stay float32."""
_ARCHITECTURES = {"llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2"}
"""`model_type` of a configuration -> llama.cpp's architecture."""
_PERMUTED = ("llama", "mistral")
_BLOCK = 32
"""Numbers that share a scale in the quantised formats; narrower rows are kept in float16."""
_INSTEAD = "export --as merged and convert it with llama.cpp's convert_hf_to_gguf.py"

Array = NDArray[Any]


def write_model(checkpoint: Path, file: Path, quantization: str = "f16") -> None:
    """Write the checkpoint folder as one GGUF, with tokenizer and chat template.

    Raises InvalidInput for an unknown quantization, an architecture or a tokenizer that is not known here.
    """
    gguf = _package()
    if quantization not in QUANTIZATIONS:
        raise InvalidInput(f"quantization {quantization!r}: say one of {', '.join(QUANTIZATIONS)}")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype="float32", use_safetensors=True)
    config = model.config
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[_architecture(config)])
    _add_shape(writer, config)
    writer.add_file_type(gguf.LlamaFileType[_file_type(quantization)])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_tokenizer(writer, AutoTokenizer.from_pretrained(checkpoint), checkpoint)
    for name, data in _tensors(model):
        _add(writer, name, data, quantization if data.ndim > 1 else "f32")
    _close(writer)


def write_adapter(adapter: Path, base: Path, file: Path) -> None:
    """Write a PEFT LoRA folder as a GGUF that llama.cpp loads beside the base's (`--lora`). Raises InvalidInput."""
    gguf = _package()
    from safetensors.numpy import load_file
    from transformers import AutoConfig

    made = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    if made["peft_type"] != "LORA":
        raise InvalidInput(f"llama.cpp loads LoRA adapters; this is {made['peft_type']}")
    config = AutoConfig.from_pretrained(base)
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[_architecture(config)])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(made["lora_alpha"]))
    named = _namer(config)
    for name, data in sorted(load_file(adapter / "adapter_model.safetensors").items()):
        module, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        side = part[0].lower()
        if side == "b":
            data = _ordered(module, data, config)
        _add(writer, f"{named(module + '.weight')}.lora_{side}", data.astype(np.float32), "f32")
    _close(writer)


def _package() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtra("writing GGUF", "distill") from error
    return gguf


def _architecture(config: Any) -> Any:
    name = _ARCHITECTURES.get(config.model_type)
    if name is None:
        known = ", ".join(_ARCHITECTURES)
        raise InvalidInput(f"GGUF is written for {known}, not for {config.model_type}: {_INSTEAD}")
    return getattr(_package().MODEL_ARCH, name)


def _file_type(quantization: str) -> str:
    return "ALL_F32" if quantization == "f32" else f"MOSTLY_{quantization.upper()}"


def _add_shape(writer: Any, config: Any) -> None:
    """The keys that say how the network is laid out."""
    heads = config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        raise InvalidInput(f"GGUF is not written for rotary embeddings of type {rope['rope_type']}: {_INSTEAD}")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10000.0)))
    writer.add_rope_dimension_count(getattr(config, "head_dim", None) or config.hidden_size // heads)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: Any, tokenizer: Any, folder: Path) -> None:
    """Vocabulary, merges, special tokens, and a chat template that writes turns as the student is asked."""
    gguf = _package()
    made = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    if made["model"].get("type") != "BPE" or made["model"].get("byte_fallback"):
        raise InvalidInput(f"GGUF is written for byte-level BPE tokenizers only: {_INSTEAD}")
    special = {entry["id"]: entry["special"] for entry in made["added_tokens"]}
    words = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    kinds = [
        gguf.TokenType.NORMAL if id not in special
        else gguf.TokenType.CONTROL if special[id]
        else gguf.TokenType.USER_DEFINED
        for _, id in words
    ]  # fmt: skip
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(made))
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types(kinds)
    merges = made["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    chat = ChatFormat(tokenizer)
    for name in ("bos", "eos", "unk", "pad"):
        id = getattr(tokenizer, f"{name}_token_id")
        if id is not None:
            getattr(writer, f"add_{name}_token_id")(int(id))
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(Turns.of(chat).jinja())


def _pre_tokenizer(made: dict[str, Any]) -> str:
    """llama.cpp's name of how text is cut before the merges."""
    steps = made.get("pre_tokenizer") or {}
    parts = steps.get("pretokenizers", [steps])
    kinds = [part.get("type") for part in parts]
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
        return "smollm"
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == ["Split", "ByteLevel"]:
        pattern = parts[0]["pattern"].get("Regex", "")
        if r"\p{N}{1,3}" in pattern:
            return "llama-bpe"
        if r"|\p{N}|" in pattern:
            return "qwen2"
    raise InvalidInput(f"GGUF is not written for this tokenizer's way of cutting text ({kinds}): {_INSTEAD}")


def _namer(config: Any) -> Callable[[str], str]:
    """transformers' name of a tensor -> llama.cpp's."""
    names = _package().get_tensor_name_map(_architecture(config), config.num_hidden_layers)

    def named(name: str) -> str:
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise InvalidInput(f"llama.cpp has no tensor {name} in this architecture: {_INSTEAD}")
        return str(found)

    return named


def _tensors(model: Any) -> Iterator[tuple[str, Array]]:
    """llama.cpp's name and the values of every tensor; a head tied to the embeddings is left out."""
    named = _namer(model.config)
    tied = bool(model.config.tie_word_embeddings)
    for name, tensor in model.state_dict().items():
        if (tied and name == "lm_head.weight") or name.endswith("rotary_emb.inv_freq"):
            continue
        module = name.rpartition(".")[0]
        yield named(name), _ordered(module, tensor.detach().float().numpy(), model.config)


def _ordered(module: str, data: Array, config: Any) -> Array:
    """Rows of queries and keys as llama.cpp expects them: the halves of each head interleaved."""
    part = module.rpartition(".")[2]
    if config.model_type not in _PERMUTED or part not in ("q_proj", "k_proj"):
        return data
    heads = config.num_attention_heads if part == "q_proj" else config.num_key_value_heads
    halves = data.reshape(heads, 2, data.shape[0] // heads // 2, *data.shape[1:])
    ordered: Array = halves.swapaxes(1, 2).reshape(data.shape)
    return ordered


def _add(writer: Any, name: str, data: Array, quantization: str) -> None:
    gguf = _package()
    if quantization[0] == "q" and data.shape[-1] % _BLOCK:
        quantization = "f16"
    kind = gguf.GGMLQuantizationType[quantization.upper()]
    writer.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(data, np.float32), kind), raw_dtype=kind)


def _close(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
