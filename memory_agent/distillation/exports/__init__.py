"""A promoted adapter in the forms that other servers read, and the probes put to what was written.

    peft      adapter_model.safetensors and adapter_config.json, as PEFT loads them
    merged    a whole transformers checkpoint, chat template included
    gguf      model.gguf, the whole model for llama.cpp, and adapter.gguf, the LoRA alone for a base that is there
    ollama    model.gguf and a Modelfile
    vllm      <name>/, the folder that vLLM's LoRA resolver looks for; NAME is the model to ask for

What is exported does not fall with its facts: delete it, and export anew after the next run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from memory_agent.distillation import registry
from memory_agent.distillation.asking import Answering, ask_probes
from memory_agent.distillation.exports import answering, gguf
from memory_agent.distillation.familiarity import is_familiar
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.probes import Sample, build
from memory_agent.distillation.routing import Router
from memory_agent.distillation.scorecard import Scorecard
from memory_agent.errors import DistillationError, InvalidInput, ModelError
from memory_agent.models.local import LocalModel
from memory_agent.models.prefix import KIND as PREFIX
from memory_agent.models.remote import is_remote
from memory_agent.models.turns import Turns
from memory_agent.models.weights import Weights
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Entity, Fact, Record
from memory_agent.space import Space

FORMS = ("peft", "merged", "gguf", "ollama", "vllm")
_README = "README.md"


class Export(Record):
    """What was written, and what the probes showed of it."""

    adapter: str
    form: str
    folder: str
    files: tuple[str, ...]
    scorecard: Mapping[str, Any] = Field(default_factory=dict)
    """Empty unless it was probed."""
    objections: tuple[str, ...] = ()
    """Why what was probed would not pass the gate."""


def export(
    space: Space,
    adapter: Adapter,
    form: str,
    folder: Path,
    *,
    quantization: str = "f16",
    base_name: str | None = None,
    probe: bool = False,
    gate: Gate | None = None,
) -> Export:
    """Write `adapter` to `folder` in that form; with `probe`, put the probes to what was written.

    `quantization` is that of a GGUF, `base_name` what vLLM calls the base. Raises InvalidInput for an unknown form, a
    folder that is not empty or an adapter that the form cannot hold; DistillationError for one that does not answer
    now, as its facts may have fallen; what the models raise.
    """
    if form not in FORMS:
        raise InvalidInput(f"form {form!r}: say one of {', '.join(FORMS)}")
    if adapter.state != "promoted" or registry.fallen(space.ledger, adapter):
        raise DistillationError(f"adapter {adapter.id} is {adapter.state}; only what answers now is exported")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is not an empty folder")
    source = registry.folder_of(space, adapter)
    kind = _kind(source)
    if kind == PREFIX and form != "peft":
        raise InvalidInput(f"a KV prefix is no change of weights, so there is no {form} of it; export it as peft")
    if kind not in ("LORA", PREFIX):
        raise InvalidInput(f"an adapter of kind {kind} cannot be exported as {form}")
    student = LocalModel.load(space.settings)
    if adapter.base != student.revision:
        raise DistillationError(f"adapter {adapter.id} was trained for another student than {student.name}")
    writers: Mapping[str, Callable[[], None]] = {
        "peft": lambda: _copy(source, folder),
        "merged": lambda: merge(student, source, folder),
        "gguf": lambda: _gguf(student, source, folder, quantization, lora=True),
        "ollama": lambda: _ollama(student, source, folder, quantization),
        "vllm": lambda: _vllm(student, source, folder, base_name or student.name, adapter),
    }
    folder.mkdir(parents=True, exist_ok=True)
    writers[form]()
    card = probed(space, adapter, form, folder, student) if probe else None
    return Export(
        adapter=adapter.id,
        form=form,
        folder=str(folder),
        files=tuple(sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())),
        scorecard=card.as_json() if card else {},
        objections=(gate or Gate.load()).objections(card) if card else (),
    )


def merge(student: LocalModel, adapter: Path, folder: Path) -> None:
    """Write a checkpoint that answers as the student with that LoRA does, up to rounding, in the student's own format.

    Its chat template writes turns as the student is asked. Raises ModelError when the adapter does not load.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = student.weights.folder
    try:
        model = AutoModelForCausalLM.from_pretrained(weights, dtype="float32", use_safetensors=True)
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        stored = json.loads((weights / "config.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"the adapter at {adapter} does not load onto {student.name}: {error}") from error
    merged.to(_dtype(stored)).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(weights)
    tokenizer.chat_template = Turns.of(student.chat).jinja()
    tokenizer.save_pretrained(folder)


def probed(space: Space, adapter: Adapter, form: str, folder: Path, student: LocalModel) -> Scorecard:
    """The probes of the gate, put to what was exported."""
    ids = sorted({taught.rpartition("@")[0] for taught in adapter.facts})
    held = space.ledger.select(Fact, Query(ids=ids, where={"retired_at": None}))
    facts = [fact for fact in held if fact.status == "current"]
    superseded = [fact for fact in held if fact.status == "superseded"]
    entities = space.ledger.select(Entity)
    known = [name for entity in entities for name in (entity.name, *entity.aliases)]
    probes = build(
        facts, superseded=superseded, known=known, sample=Sample(), seed=int(adapter.scorecard.get("seed", 0))
    )
    router = Router([adapter], {fact.id: fact for fact in facts}, entities)

    def to_base(question: str) -> bool:
        return router.route(question, lambda name: is_familiar(student, name)).kind == "base"

    def asked(model: Answering, place: Path) -> Scorecard:
        return ask_probes(model, place, probes, to_base=to_base)

    if form == "merged":
        return asked(answering.Merged(student, LocalModel(Weights(student.name, folder))), folder)
    if form in ("gguf", "ollama"):
        with answering.running(student, folder / "model.gguf") as model:
            return asked(model, folder)
    return asked(student, next(file.parent for file in folder.rglob("adapter_config.json")))


def _kind(folder: Path) -> str:
    if is_remote(folder):
        return "remote"
    return str(json.loads((folder / "adapter_config.json").read_text("utf-8"))["peft_type"])


def _dtype(config: Mapping[str, Any]) -> Any:
    """The number format a checkpoint's configuration names."""
    import torch

    return getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "float32"))


def _copy(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in registry.WEIGHTS:
        shutil.copyfile(source / name, folder / name)


def _gguf(student: LocalModel, source: Path, folder: Path, quantization: str, *, lora: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="memory-agent-merged-") as merged:
        merge(student, source, Path(merged))
        gguf.write_model(Path(merged), folder / "model.gguf", quantization)
    if lora:
        gguf.write_adapter(source, student.weights.folder, folder / "adapter.gguf")


def _ollama(student: LocalModel, source: Path, folder: Path, quantization: str) -> None:
    _gguf(student, source, folder, quantization, lora=False)
    turns = Turns.of(student.chat)
    lines = [
        "# ollama create NAME -f Modelfile",
        "FROM ./model.gguf",
        f'TEMPLATE """{turns.go()}"""',
        f'PARAMETER stop "{turns.end}"',
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1.0",
    ]
    (folder / "Modelfile").write_text("\n".join(lines) + "\n", "utf-8")


def _vllm(student: LocalModel, source: Path, folder: Path, base_name: str, adapter: Adapter) -> None:
    name = f"memory-{adapter.shard}"
    _copy(source, folder / name)
    config = folder / name / "adapter_config.json"
    made = json.loads(config.read_text("utf-8"))
    made["base_model_name_or_path"] = base_name  # the resolver compares it with the name that is served
    config.write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    template = Turns.of(student.chat).jinja()
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    (folder / _README).write_text(
        f"""# For vLLM
    export VLLM_ALLOW_RUNTIME_LORA_UPDATING=true VLLM_PLUGINS=lora_filesystem_resolver VLLM_LORA_RESOLVER_CACHE_DIR=$PWD
    vllm serve {base_name} --enable-lora --max-lora-rank {made["r"]} --chat-template chat_template.jinja

Ask for the model `{name}`; `{base_name}` is the untouched base. The base's name must be the one in
`{name}/adapter_config.json` (`--base-name` of the export).
""",
        "utf-8",
    )
