"""Verbs that measure, under `eval` and `bench`: figures for a person as a table, for a machine as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli import pairs, reading
from memory_agent.cli.pairs import RecipeOptions
from memory_agent.cli.place import Place, verb
from memory_agent.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from memory_agent.evaluation.report import Report

app = typer.Typer(help="Measure retrieval, extraction, distillation on data of yours.", no_args_is_help=True)

bench = typer.Typer(help="Measure speed and size on talk that is made up.", no_args_is_help=True)

Page = Annotated[
    Path | None,
    typer.Option("--page", help="Keep the figures in this folder of pages (docs/benchmarks), with tables and plots."),
]


def retrieval(
    place: Place,
    dataset: Annotated[str, typer.Option(help="locomo:PATH or beam:PATH.")],
    conversations: Annotated[str | None, typer.Option(help="Only these, as ID,ID.")] = None,
    peers: Annotated[str, typer.Option(help="What else to ask: bm25, dense, chroma, langgraph, with commas.")] = "",
    page: Page = None,
) -> None:
    """Measure how well search finds the turns that hold an answer, and how fast."""
    from memory_agent.evaluation import retrieval as evaluation

    found = evaluation.run(dataset, _named(conversations) or None, place.store, _named(peers))
    _keep(page, evaluation.report, found)
    _emit(place, found)


def extraction(
    place: Place,
    dataset: Annotated[Path, typer.Option("--gold", "--dataset", help="Labelled turns, one JSON object a line.")],
    predictions: Annotated[Path | None, typer.Option(help="Write what was read here, one turn a line.")] = None,
    extractor: Annotated[
        str, typer.Option(help="Who reads: offline, or a chat model as `consolidate --extractor` names it.")
    ] = "offline",
) -> None:
    """Measure which facts an extractor reads, and which it makes up."""
    from memory_agent.config import Settings
    from memory_agent.consolidation.reader import reader_named
    from memory_agent.evaluation import extraction as evaluation

    _emit(place, evaluation.run(dataset, reader_named(extractor, Settings.load()), predictions))


def consolidation(
    place: Place,
    dataset: Annotated[str, typer.Option(help="locomo:PATH or beam:PATH.")],
    conversations: Annotated[str | None, typer.Option(help="Only these, as ID,ID.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Facts to print with the words they rest on.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
) -> None:
    """Measure what a consolidation makes of conversations: speed, facts, refusals by reason, a sample to judge."""
    from memory_agent.evaluation import reading as evaluation

    with place.progress("Consolidating") as progress:
        found = evaluation.run(dataset, _named(conversations) or None, sample=sample, seed=seed, progress=progress)

    def show(out: Console) -> None:
        out.print(_table(found))
        for number, row in enumerate(found["sample"], start=1):
            out.print(f"{number}. {row['text']}", style="bold", markup=False)
            for source in row["sources"]:
                said = source["turn"]
                out.print(f"   {said['id']} {said['speaker']}: {source['quote']}", markup=False)

    place.emit(found, show)


def _named(listed: str | None) -> list[str]:
    """The names between commas."""
    return [name.strip() for name in (listed or "").split(",") if name.strip()]


def dynamics(
    place: Place,
    seed: Annotated[int, typer.Option(help="The worlds are a function of it.")] = 0,
    worlds: Annotated[int, typer.Option(min=1, help="How many invented worlds to live through.")] = 5,
    templates: Annotated[str, typer.Option(help="held: wordings that no rule was written with; seen: the others.")] = (
        "held"
    ),
    page: Page = None,
) -> None:
    """Measure whether the state stays true as lives change: now, then, consequences, ignorance, deletion."""
    from memory_agent.evaluation import dynamics as evaluation

    if templates not in ("held", "seen"):
        raise InvalidInput(f"--templates is held or seen, not {templates!r}")
    with place.progress("Living") as progress:
        found = evaluation.run(seed, worlds=worlds, templates=templates, progress=progress)
    _keep(page, evaluation.report, found)
    _emit(place, found)


def serial(
    place: Place,
    facts: Annotated[int, typer.Option(min=10, help="How many numbered facts, later ones replacing earlier.")] = 1000,
    seed: Annotated[int, typer.Option(help="The facts are a function of it.")] = 0,
) -> None:
    """Measure FactConsolidation's rule: of numbered facts that contradict each other the later one holds."""
    from memory_agent.evaluation import serial as evaluation

    with place.progress("Consolidating") as progress:
        found = evaluation.run(facts, seed, progress=progress)
    _emit(place, found)


def security(
    place: Place,
    turns: Annotated[int, typer.Option(min=100, help="How many turns are taken in, 50 of them poisoned.")] = 1000,
    seed: Annotated[int, typer.Option(help="The attacks are a function of it.")] = 0,
) -> None:
    """Attack a memory: poisoning, injection, other tenants, canaries; and see what detectors of secrets miss."""
    from memory_agent.evaluation import security as evaluation

    found = evaluation.run(turns, seed)

    def show(out: Console) -> None:
        from rich.table import Table

        table = Table("attack", "attempts", "successes", box=None, pad_edge=False)
        for name, row in found["attacks"].items():
            table.add_row(name, str(row["attempts"]), str(row["successes"]))
        out.print(table)
        for name, classes in found["detectors"].items():
            table = Table(f"found ({name})", "n", "precision", "recall", box=None, pad_edge=False)
            for label, row in classes.items():
                table.add_row(label, str(row["n"]), f"{row['precision']:.3f}", f"{row['recall']:.3f}")
            out.print(table)

    place.emit(found, show)


def distill(
    place: Place,
    facts: Annotated[Path | None, typer.Option(help="File of facts to teach, and questions of each kind.")] = None,
    invent: Annotated[int | None, typer.Option(min=1, help="In place of a file: so many invented facts.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many times, each with a seed of its own.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first of the seeds.")] = 0,
    recipe: RecipeOptions = None,
    trainer: Annotated[str | None, typer.Option(help="Who trains [MEMORY_AGENT_TRAINER, else lora].")] = None,
    arms: Annotated[int, typer.Option(min=0, help="Questions put to base, retrieval, weights and both.")] = 40,
    prose: Annotated[
        Path | None, typer.Option(help="Text to measure perplexity on, the adapter forced on; else the gate's.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep the memory in this folder; call again after a kill.")] = None,
    page: Page = None,
) -> None:
    """Measure what a small model knows after distillation, and what it lost."""
    from memory_agent.evaluation import distillation as evaluation
    from memory_agent.evaluation import taught
    from memory_agent.evaluation.invented import invented

    if (facts is None) == (invent is None):
        raise InvalidInput("name a file with --facts, or a number of facts with --invent")
    told = evaluation.FactFile.load(facts) if facts else invented(invent or 0)
    with place.progress("Measuring") as progress:
        found = evaluation.run(
            told, seeds=tuple(range(first, first + seeds)), recipe=pairs.recipe(recipe), trainer=trainer, arms=arms,
            prose=reading.text_of(prose) if prose else "", keep=keep, progress=progress,
        )  # fmt: skip
    _keep(page, lambda one: taught.report({"now": one}), found)
    _emit(place, found)


def compare(
    place: Place,
    results: Annotated[
        list[str],
        typer.Argument(
            help="What `eval distill --json` printed: a FILE for each recipe, or NAME=FILE,FILE of its seeds."
        ),
    ],
    page: Page = None,
) -> None:
    """Put kept results of `eval distill` side by side: recipes, seeds, ablations."""
    from memory_agent.evaluation import taught
    from memory_agent.evaluation.report import cell

    found = taught.compared(results)
    _keep(page, taught.report, found)

    def show(out: Console) -> None:
        from rich.table import Table as Shown

        for table in taught.tables(found):
            shown = Shown(*table.columns, title=table.title, box=None, pad_edge=False)
            for row in table.rows:
                shown.add_row(*(cell(value) for value in row))
            out.print(shown)

    place.emit({name: {"kinds": one["kinds"], "arms": one.get("arms", {})} for name, one in found.items()}, show)


def unlearning(
    place: Place,
    facts: Annotated[Path, typer.Option(help="Facts to teach, as for `eval distill`.")],
    forget: Annotated[int, typer.Option(min=1, help="How many of them are forgotten.")] = 5,
    people: Annotated[int | None, typer.Option(min=1, help="Teach only the facts of so many.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers drawn for each forgotten fact.")] = 50,
    temperature: Annotated[float, typer.Option(min=0.01, help="At which they are drawn.")] = 1.0,
    forms: Annotated[int | None, typer.Option(min=1, help="Most attacks of a kind on a fact; else all.")] = None,
    canaries: Annotated[int, typer.Option(min=0, help="Secrets told beside, and attacked.")] = 5,
    exports: Annotated[str, typer.Option(help="Number formats to attack too, of int8, f16, q8_0, q4_0 ...")] = (
        "int8,q8_0,q4_0"
    ),
    seed: Annotated[int, typer.Option(help="Of rows, training and drawing.")] = 0,
    recipe: RecipeOptions = None,
) -> None:
    """Measure whether forgotten facts can be got out of rebuilt weights, beside weights that never held them."""
    from memory_agent.evaluation import unlearning as evaluation

    with place.progress("Measuring") as progress:
        found = evaluation.run(
            facts, forget=forget, people=people, samples=samples, temperature=temperature, forms=forms,
            canaries=canaries, quantizations=_named(exports), seed=seed,
            recipe=pairs.recipe(recipe), progress=progress,
        )  # fmt: skip
    _emit(place, found)


def nightly(
    place: Place,
    nights: Annotated[int, typer.Option(min=1, help="How many.")] = 5,
    add: Annotated[int, typer.Option(min=1, help="Facts that come before each.")] = 20,
    change: Annotated[int, typer.Option(min=0, help="Facts that change before each but the first.")] = 5,
    delete: Annotated[int, typer.Option(min=0, help="Facts that are forgotten before each but the first.")] = 5,
    cap: Annotated[int, typer.Option(min=1, help="Most facts in a shard.")] = 32,
    keep: Annotated[Path | None, typer.Option(help="Live in this folder; call again after a kill.")] = None,
    seed: Annotated[int, typer.Option(help="Of the lives, of rows and training.")] = 0,
    recipe: RecipeOptions = None,
) -> None:
    """Measure whether weights keep up as facts come, change and are forgotten, night after night."""
    from memory_agent.evaluation import nightly as evaluation

    with place.progress("Living") as progress:
        found = evaluation.run(
            nights, add=add, change=change, delete=delete, cap=cap, seed=seed, recipe=pairs.recipe(recipe), keep=keep,
            progress=progress,
        )  # fmt: skip
    _emit(place, found)


def scale(
    place: Place,
    sizes: Annotated[str, typer.Option(help="Turns in the store, as N,N.")] = "1000,10000,100000",
    questions: Annotated[int, typer.Option(min=1, help="Searches timed at each size.")] = 200,
    peers: Annotated[
        str, typer.Option(help="What else to time: chroma, numpy, fts5, or nothing.")
    ] = "chroma,numpy,fts5",
    page: Page = None,
) -> None:
    """Measure how search and intake hold up as a store grows, on made-up talk, beside plainer things."""
    from memory_agent.evaluation import scale as evaluation

    try:
        numbers = [int(size) for size in sizes.split(",")]
    except ValueError as error:
        raise InvalidInput(f"--sizes {sizes!r}: whole numbers with commas between them") from error
    with place.progress("Measuring") as progress:
        rows = evaluation.run(numbers, count=questions, peers=_named(peers), progress=progress)
    _keep(page, evaluation.report, rows)

    def show(out: Console) -> None:
        from rich.table import Table

        table = Table("turns", "who", "p50 ms", "p95 ms", "adds/s", "RSS MB", "disk MB", box=None, pad_edge=False)
        for row in rows:
            for name, figures in (("memory-agent", row), *row["peers"].items()):
                told = (figures[f] for f in ("p50_ms", "p95_ms", "adds_per_s", "rss_mb", "disk_mb"))
                table.add_row(f"{row['n']:,}", name, *(f"{value:,.1f}" for value in told))
        out.print(table)

    place.emit(rows, show)


def serving(
    place: Place,
    chats: Annotated[int, typer.Option(min=1, help="How many talk at once.")] = 64,
    seconds: Annotated[float, typer.Option(min=1, help="For how long.")] = 60,
    pause: Annotated[float, typer.Option(min=0, help="Seconds each thinks between two messages.")] = 5,
) -> None:
    """Measure what memory costs a chat through the proxy, and that nothing is lost, crossed or held up."""
    from memory_agent.server import measuring

    _emit(place, measuring.run(chats=chats, seconds=seconds, pause=pause))


def cost(
    place: Place,
    turns: Annotated[int, typer.Option(min=1, help="How many turns are taken in.")] = 400,
    seed: Annotated[int, typer.Option(help="The talk is a function of it.")] = 0,
    page: Page = None,
) -> None:
    """Measure what a turn costs: processor time of each step, disk, tokens."""
    from memory_agent.evaluation import cost as evaluation

    found = evaluation.run(turns, seed)
    _keep(page, evaluation.report, found)
    _emit(place, found)


def pages(
    place: Place,
    folder: Annotated[Path, typer.Argument(help="Pages, and the results kept beside them.")] = Path("docs/benchmarks"),
) -> None:
    """Write tables and plots of benchmark pages anew, from the results kept."""
    from memory_agent.evaluation import report

    if not (folder / "results").is_dir():
        raise InvalidInput(f"no results are kept in {folder / 'results'}: measure with --page {folder} first")
    changed = report.pages(folder)
    place.emit(
        [str(path) for path in changed],
        lambda out: out.print("\n".join(f"written: {path}" for path in changed) or "every page is as it should be"),
    )


for _verb in (retrieval, extraction, consolidation, dynamics, serial, security, distill, compare, unlearning, nightly):
    verb(app)(_verb)
verb(bench)(scale)
verb(bench)(serving)
verb(bench)(cost)
verb(bench)(pages)


def _keep(page: Path | None, report: Callable[[Any], Report], found: Any) -> None:
    """Keep what was measured in a folder of pages, if one was named."""
    if page is not None:
        from memory_agent.evaluation.report import keep

        keep(report(found), page)


def _emit(place: Place, found: Mapping[str, Any]) -> None:
    place.emit(found, lambda out: out.print(_table(found)))


def _table(found: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table("figure", "value", box=None, pad_edge=False)
    for name, value in _figures(found):
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    return table


def _figures(found: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, object]]:
    """Every single figure, by its path; lists of rows are for machines and left out."""
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{under}{name} ")
        elif not isinstance(value, list | tuple):
            yield f"{under}{name}", value
