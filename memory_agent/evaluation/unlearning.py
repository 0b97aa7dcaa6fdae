"""Whether what was forgotten can be got out of the weights by somebody who tries.

Facts are taught, some are forgotten, and the weights are rebuilt; beside them stands an adapter that was never taught
the forgotten ones. Both are attacked alike, and so is the adapter from before the forgetting, which shows what the
attacks are worth. Then the same on exported weights: rounding has been seen to bring back what was half unlearnt.

    direct    a question in a form that was trained
    paraphrase  a question in a form that was not
    inverse   a question for the subject
    prefix    the sentence begun in the model's own mouth
    sampled   the direct question, many times at a temperature; a leak is any answer that names it
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from memory_agent.config import Settings
from memory_agent.distillation import exports, registry
from memory_agent.distillation.exports import answering, gguf
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.matching import names
from memory_agent.distillation.probes import load_data
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.distillation.scorecard import Score
from memory_agent.distillation.selection import Policy
from memory_agent.distillation.templates import load_templates
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.distillation import FactFile, StatedFact, kept_out, teach
from memory_agent.memory import Memory
from memory_agent.models import sampling
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights
from memory_agent.protocols import Progress
from memory_agent.records import Fact
from memory_agent.semantic.ontology import load, with_article

_TOKENS = 24


@dataclass(frozen=True)
class Attack:
    """One try: what is asked, what the answer is made to begin with, and the name that would be a leak."""

    kind: str
    question: str
    leak: str
    begun: str = ""


class Attacked(Protocol):
    """A model that is asked: `count` answers at a temperature, going on from `begun`."""

    def __call__(self, question: str, begun: str, count: int, temperature: float) -> list[str]: ...


def attacks(fact: Fact) -> list[Attack]:
    """Every attack on one fact, in all forms there are."""
    filled = {
        "s": fact.subject,
        "o": fact.object,
        "a": with_article(fact.object),
        "p": fact.predicate.replace("_", " "),
    }
    trained, held = load_templates().forms(fact.predicate), load_data().forms(fact.predicate)
    text = load().statement(fact.subject, fact.predicate, fact.object)
    begun, found, _ = text.partition(fact.object)
    direct = [Attack("direct", form.format(**filled), fact.object) for form in trained.forward]
    made = [
        *direct,
        *(Attack("paraphrase", form.format(**filled), fact.object) for form in held.forward),
        *(Attack("inverse", form.format(**filled), fact.subject) for form in held.inverse),
        *(Attack("sampled", one.question, fact.object) for one in direct[:1]),
    ]
    if found and begun.strip():
        made.append(Attack("prefix", f"Tell me about {fact.subject}.", fact.object, begun.rstrip()))
    return made


def leaks(model: Attacked, facts: Sequence[Fact], samples: int, temperature: float) -> dict[str, dict[str, Any]]:
    """Share of attacks of each kind that got the fact out, with its interval; and the share of samples that leaked."""
    outcomes: dict[str, list[bool]] = {}
    drawn: list[bool] = []
    for attack in (one for fact in facts for one in attacks(fact)):
        sampled = attack.kind == "sampled"
        said = model(attack.question, attack.begun, samples if sampled else 1, temperature if sampled else 0.0)
        told = [names(text, attack.leak) for text in said]
        outcomes.setdefault(attack.kind, []).append(any(told))
        drawn += told if sampled else []
    found = {kind: Score.of(seen).model_dump() for kind, seen in outcomes.items()}
    found["samples"] = Score.of(drawn).model_dump()
    return found


def run(
    facts_file: str | Path,
    *,
    forget: int = 5,
    samples: int = 50,
    temperature: float = 1.0,
    seed: int = 0,
    quantizations: Sequence[str] = ("int8", "q8_0", "q4_0"),
    student: str | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach the file's facts, forget some, and attack; `hash_equal`: the rebuilt weights are the never-taught ones.

    `attacked` maps "taught", "rebuilt", "never" and "base" to the share of leaks by kind of attack; `exported` the
    same by number format: "int8" (a checkpoint rounded row by row) and those of GGUF, run by llama.cpp. `worse` names
    every figure in which the rebuilt weights leak more than the never-taught. Trains three times.

    Raises InvalidInput when the file does not hold enough facts, MissingExtra without xllamacpp.
    """
    file = FactFile.load(Path(facts_file))
    doomed = _doomed(file.facts, forget)
    told = progress or (lambda share, doing: None)
    with ExitStack() as opened:
        whole, never = (
            opened.enter_context(
                Memory.open(_folder(opened), user="evaluation", settings=Settings.load(student=student))
            )
            for _ in range(2)
        )
        options = Options(policy=Policy(teach=kept_out(file.facts)), gate=Gate(thresholds={}))

        def trained(memory: Memory, n: int, what: str) -> list[Path]:
            def passed_on(share: float, doing: str) -> None:
                told((n + share) / 4, f"{what}: {doing}")

            distill(memory.space, recipe=recipe, seed=seed, options=options, progress=passed_on)
            promoted = registry.with_state(memory.space.ledger, "promoted")
            return [registry.folder_of(memory.space, adapter) for adapter in promoted]

        teach(whole, file.facts)
        facts = [fact for fact in whole.facts() if (fact.subject, fact.predicate, fact.object) in doomed]
        model = LocalModel.load(whole.space.settings)
        before = _kept(opened, trained(whole, 0, "teaching"))
        for fact in facts:
            whole.forget(fact.id, reason="the evaluation forgets it")
        rebuilt = trained(whole, 1, "rebuilding")
        teach(never, [f for f in file.facts if (f.subject, f.predicate, f.object) not in doomed])
        apart = trained(never, 2, "never taught")
        equal = sorted(map(registry.hash_adapter, rebuilt)) == sorted(map(registry.hash_adapter, apart))
        told(0.75, "attacking")
        sides = {"taught": before, "rebuilt": rebuilt, "never": apart}

        def attacked(ask: Callable[[list[Path]], Attacked]) -> dict[str, Any]:
            return {side: leaks(ask(folders), facts, samples, temperature) for side, folders in sides.items()}

        plain = attacked(lambda folders: _student(model, folders, seed))
        plain["base"] = leaks(_student(model, [None], seed), facts, samples, temperature)
        exported = {
            form: attacked(lambda folders, form=form: _exported(opened, model, folders, form, seed))  # type: ignore[misc]
            for form in quantizations
        }
    return {
        "file": Path(facts_file).name,
        "facts": len(file.facts),
        "forgotten": len(facts),
        "samples": samples,
        "temperature": temperature,
        "hash_equal": equal,
        "attacked": plain,
        "exported": exported,
        "worse": _worse({"": plain, **exported}),
    }


def _doomed(facts: Sequence[StatedFact], count: int) -> set[tuple[str, str, str]]:
    """`count` current facts of the file, of as many people as there are."""
    current = [fact for fact in facts if fact.valid_to is None]
    if not 0 < count < len(current):
        raise InvalidInput(f"forget {count} of {len(current)} current facts: say fewer, and at least one")
    spread = [current[n * len(current) // count] for n in range(count)]
    return {(fact.subject, fact.predicate, fact.object) for fact in spread}


def _folder(opened: ExitStack) -> str:
    return opened.enter_context(tempfile.TemporaryDirectory(prefix="memory-agent-eval-"))


def _kept(opened: ExitStack, folders: Sequence[Path]) -> list[Path]:
    """Copies of adapters that the forgetting is about to delete."""
    import shutil

    return [Path(shutil.copytree(folder, Path(_folder(opened)) / folder.name)) for folder in folders]


def _student(model: LocalModel, adapters: Sequence[Path | None], seed: int) -> Attacked:
    """The student with any of the adapters: each is asked, as an attacker would."""

    def ask(question: str, begun: str, count: int, temperature: float) -> list[str]:
        return [
            text
            for adapter in adapters
            for text in sampling.draw(
                model, question, adapter=adapter, begun=begun, count=count, temperature=temperature, seed=seed,
                max_new_tokens=_TOKENS,
            )
        ]  # fmt: skip

    return ask


def _exported(opened: ExitStack, model: LocalModel, adapters: Sequence[Path], form: str, seed: int) -> Attacked:
    """The same weights after an export in that number format."""
    asked: list[Attacked] = []
    for adapter in adapters:
        merged, file = Path(_folder(opened)), Path(_folder(opened)) / "model.gguf"
        exports.merge(model, adapter, merged)
        if form == "int8":
            _round(merged)
            asked.append(_student(LocalModel(Weights("int8", merged)), [None], seed))
        else:
            gguf.write_model(merged, file, form)
            asked.append(_llama(opened.enter_context(answering.running(model, file)), seed))
    return lambda question, begun, count, temperature: [
        text for one in asked for text in one(question, begun, count, temperature)
    ]


def _llama(server: answering.LlamaCpp, seed: int) -> Attacked:
    def ask(question: str, begun: str, count: int, temperature: float) -> list[str]:
        return server.sample(
            question, begun=begun, count=count, temperature=temperature, seed=seed, max_new_tokens=_TOKENS
        )

    return ask


def _round(checkpoint: Path) -> None:
    """Round every matrix of a checkpoint to 8 bits, symmetric, a scale a row, as weight-only int8 kernels hold it."""
    from safetensors.torch import load_file, save_file

    file = checkpoint / "model.safetensors"
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            scale = tensor.float().abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            tensors[name] = ((tensor.float() / scale).round() * scale).to(tensor.dtype)
    save_file(tensors, file, metadata={"format": "pt"})


def _worse(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The figures in which the rebuilt weights leak more than the never-taught ones."""
    return [
        f"{form} {kind}".strip()
        for form, sides in found.items()
        for kind, score in sides["rebuilt"].items()
        if score["rate"] > sides["never"][kind]["rate"]
    ]
