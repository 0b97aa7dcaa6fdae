"""Verbs of the family `adapters`: what is in the weights, which of them answer, and taking them elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli import exits
from memory_agent.cli.place import Place, verb

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.records import Adapter

family = typer.Typer(help="The trained weights: which there are, which answer, and why.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The adapter's id, or its first letters (four or more).")]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(family, "list")(list_)
    for function in (show, diff, promote, rollback, prune, export, rekey):
        verb(family)(function)
    app.add_typer(family, name="adapters")


def list_(place: Place) -> None:
    """List the adapters, the newest first, with their state and two of their figures."""
    from memory_agent.records import Adapter

    with place.memory() as memory:
        found = memory.space.ledger.select(Adapter)[::-1]
    place.emit(found, lambda out: _table(out, found))


def _table(out: Console, adapters: list[Adapter]) -> None:
    from rich.table import Table

    from memory_agent.distillation.scorecard import Scorecard

    shown = ("paraphrase", "stranger")
    table = Table("adapter", "state", "shard", "facts", "trained", *shown, box=None, pad_edge=False)
    for column in table.columns[:2]:
        column.no_wrap = True
    for adapter in adapters:
        card = Scorecard.read(adapter.scorecard)
        told = ["" if (figure := card.figure(name)) is None else f"{figure:.2f}" for name in shown]
        trained = f"{adapter.created_at:%Y-%m-%d}"
        table.add_row(adapter.id[:12], adapter.state, adapter.shard, str(len(adapter.facts)), trained, *told)
    out.print(table if adapters else "There are none; `memory-agent distill` trains some.")


def show(
    place: Place,
    id: Id,
    page: Annotated[
        Path | None, typer.Option("--page", help="Keep its scorecard in this folder too, as Markdown, JSON and plots.")
    ] = None,
) -> None:
    """Show one adapter whole: state, figures, what it was made with, and the facts that it was taught."""
    from memory_agent.distillation import shelf

    with place.memory() as memory:
        found = shelf.show(memory.space, id)
    if page is not None:
        from memory_agent.evaluation import scorecards
        from memory_agent.evaluation.report import keep

        keep(scorecards.report(found.adapter), page)

    def tell(out: Console) -> None:
        adapter = found.adapter
        out.print(f"{adapter.id}\n{adapter.state}, shard {adapter.shard}, run {adapter.run}", markup=False)
        if not found.whole:
            out.print("Its files are gone or were changed.", style="red")
        for reason in adapter.reasons:
            out.print(f"  {reason}", style="red", markup=False)
        for name, value in found.manifest.items():
            if name not in ("facts", "entities", "recipe"):
                out.print(f"  {name}: {value}", style="dim", markup=False)
        _tell_figures(out, adapter.scorecard)
        for taught, text in found.facts.items():
            fell = " (no longer stands)" if taught.rpartition("@")[0] in found.fallen else ""
            out.print(f"  {taught}  {text}{fell}", markup=False)

    place.emit(found, tell)


def _tell_figures(out: Console, scorecard: Mapping[str, Any]) -> None:
    from memory_agent.distillation.scorecard import Scorecard

    card = Scorecard.read(scorecard)
    for name, score in card.kinds.items():
        out.print(f"  {name}: {score.rate:.3f} ({score.hits} of {score.n}, {score.low:.2f} to {score.high:.2f})")
    for name, value in card.measures.items():
        out.print(f"  {name}: {value:.3f}")


def diff(
    place: Place,
    before: Id,
    after: Annotated[str, typer.Argument(help="Another adapter.")],
) -> None:
    """Show what two adapters differ in: facts, figures, recipe."""
    from memory_agent.distillation import shelf

    with place.memory() as memory:
        found = shelf.compare(memory.space, before, after)

    def tell(out: Console) -> None:
        for sign, facts in (("-", found.removed), ("+", found.added)):
            for id, text in facts.items():
                out.print(f"{sign} {id}  {text or 'forgotten since'}", markup=False)
        for pairs in (found.figures, found.made_with):
            for name, (old, new) in pairs.items():
                out.print(f"  {name}: {_short(old)} -> {_short(new)}", markup=False)

    place.emit(found, tell)


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def promote(
    place: Place,
    id: Id,
    gate: Annotated[Path | None, typer.Option(help="Thresholds to judge it by, a JSON file.")] = None,
) -> None:
    """Let an adapter answer that did not, if its figures pass the gate; exit code 4 with the reasons if not."""
    from memory_agent.distillation import shelf
    from memory_agent.distillation.gate import Gate

    with place.memory() as memory:
        adapter, objections = shelf.promote(memory.space, id, Gate.load(gate))

    def tell(out: Console) -> None:
        out.print(f"{adapter.id} is {adapter.state}.", markup=False)
        for reason in objections:
            out.print(f"  {reason}", style="red", markup=False)

    place.emit({"adapter": adapter.model_dump(mode="json"), "objections": list(objections)}, tell)
    if objections:
        raise typer.Exit(exits.REFUSED)


def rollback(place: Place) -> None:
    """Let the previous adapter of each shard answer again, in place of the promoted one."""
    from memory_agent.distillation import registry

    with place.memory() as memory:
        back = registry.rollback(memory.space)
    place.emit(back, lambda out: out.print("\n".join(f"{adapter.id} answers again." for adapter in back), markup=False))


def prune(
    place: Place,
    keep: Annotated[int, typer.Option(min=0, help="How many previous adapters of each shard stay.")] = 1,
) -> None:
    """Delete adapters that can answer no more: refused, switched off, and all but the newest previous ones."""
    from memory_agent.distillation import registry

    with place.memory() as memory:
        gone = registry.prune(memory.space, keep)
    place.emit({"deleted": gone}, lambda out: out.print(f"{len(gone)} deleted."))


def rekey(
    place: Place,
    new_key_file: Annotated[Path, typer.Option("--new-key-file", help="File with the secret to encrypt with.")],
) -> None:
    """Encrypt all weights with another key, those in plain too; the settings' key opens what is encrypted now."""
    from memory_agent.distillation import registry
    from memory_agent.encryption import Key

    with place.memory() as memory:
        done = registry.rekey(memory.space, Key.from_file(new_key_file))
    told = f"{len(done)} encrypted; set MEMORY_AGENT_ADAPTER_KEY_FILE={new_key_file} from now on."
    place.emit({"encrypted": done}, lambda out: out.print(told, markup=False))


def export(
    place: Place,
    id: Id,
    out: Annotated[Path, typer.Option(help="Folder to write to; it must be empty or not there.")],
    form: Annotated[str, typer.Option("--as", help="peft, merged, gguf, ollama or vllm.")] = "peft",
    quantization: Annotated[str, typer.Option(help="Of a GGUF: f32, f16, bf16, q8_0, q5_0 or q4_0.")] = "f16",
    base_name: Annotated[str | None, typer.Option(help="What vLLM calls the base model.")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Put the probes to what was written.")] = False,
) -> None:
    """Write an adapter that answers now for another server; exit code 4 if what was written fails the probes."""
    from memory_agent.distillation import exports, shelf

    with place.memory() as memory:
        adapter = shelf.find(memory.space, id)
        found = exports.export(
            memory.space, adapter, form, out, quantization=quantization, base_name=base_name, probe=probe
        )

    def tell(console: Console) -> None:
        console.print(f"Wrote {', '.join(found.files)} to {found.folder}.", markup=False)
        _tell_figures(console, found.scorecard)
        for objection in found.objections:
            console.print(f"  {objection}", style="red", markup=False)

    place.emit(found, tell)
    if found.objections:
        raise typer.Exit(exits.REFUSED)
