"""Figures as pages: a measurement with what it was taken on, its tables and plots, in the Markdown of a docs folder.

    results/NAME.json       the report itself: figures, command, machine, versions, seeds; made by a command, kept
    plots/NAME-PLOT.svg     drawn from it
    PAGE.md                 the text between `<!-- measured: NAME -->` and `<!-- end -->` is written from it

So no table is typed: who measures again runs the command with `--page FOLDER`, and `memory-agent bench pages`
writes every page anew from the results kept (a test holds the pages to them). A report whose name no page
mentions gets a page of its own.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from memory_agent.errors import InvalidInput
from memory_agent.evaluation import plots
from memory_agent.records import Instant, Record

PACKAGES = (
    "slowwave", "torch", "transformers", "peft", "sentence-transformers", "spacy", "chromadb", "numpy",
    "langgraph", "pydantic",
)  # fmt: skip
"""Whose versions a report names, where they are installed."""
_NAME = r"[a-z0-9][a-z0-9-]*"

Cell = str | int | float | None


class Table(Record):
    """Rows under columns. Floats are shown with three digits after the point; None as a dash."""

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Plot(Record):
    """A picture of figures: bars by `groups`, or lines through the points of `points`."""

    name: str = Field(pattern=_NAME)
    title: str
    form: Literal["bars", "lines"]
    groups: tuple[str, ...] = ()
    series: Mapping[str, tuple[float | None, ...]] = Field(default_factory=dict)
    """For bars: a value for each group."""
    spans: Mapping[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """For bars: low and high ends of an interval for each group, of series that have them."""
    points: Mapping[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """For lines."""
    x: str = ""
    y: str = ""
    log_x: bool = False
    log_y: bool = False
    aim: float | None = None

    def svg(self) -> str:
        """The picture. Raises ValueError where its figures cannot be drawn."""
        if self.form == "bars":
            return plots.bars(self.title, self.groups, self.series, y=self.y, aim=self.aim, spans=self.spans)
        return plots.lines(
            self.title, self.points, x=self.x, y=self.y, log_x=self.log_x, log_y=self.log_y, aim=self.aim
        )


class Report(Record):
    """One measurement."""

    name: str = Field(pattern=_NAME)
    title: str
    command: str
    """What printed it, files by their names alone."""
    taken: Instant
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    seeds: tuple[int, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


def stamped(
    name: str, title: str, *, tables: Sequence[Table], plots: Sequence[Plot] = (), seeds: Sequence[int] = ()
) -> Report:
    """A report of figures taken just now by this process, on this machine."""
    return Report(
        name=name,
        title=title,
        command=command(sys.argv),
        taken=datetime.now(UTC).replace(microsecond=0),
        machine=machine(),
        versions=versions(),
        seeds=tuple(seeds),
        tables=tuple(tables),
        plots=tuple(plots),
    )


def command(arguments: Sequence[str]) -> str:
    """The command line as another would type it: without folders of this machine, and without `--page`."""
    words, skip = ["memory-agent"], False
    for word in arguments[1:]:
        if skip or word.startswith("--page="):
            skip = False
        elif word == "--page":
            skip = True
        else:
            words.append(re.sub(r"(?<![\w.])/?(?:[\w.~-]+/)+(?=[\w.~-])", "", word))
    return shlex.join(words)


def machine() -> dict[str, str]:
    """What a figure of speed depends on; nothing by which a machine could be found."""
    found = {"processor": _processor(), "cores": str(_cores())}
    if hasattr(os, "sysconf"):
        found["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["Python"] = platform.python_version()
    if threads := os.environ.get("OMP_NUM_THREADS"):
        found["OMP_NUM_THREADS"] = threads
    if hasattr(os, "getloadavg"):
        found["load average over 15 minutes"] = f"{os.getloadavg()[2]:.1f}"
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text("utf-8"))):
        return found[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The versions of the packages that figures depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def markdown(report: Report, plots_in: str = "plots") -> str:
    """The block of a page: what it was taken on, then tables and plots."""
    machine = "; ".join(f"{name} {value}" for name, value in report.machine.items())
    used = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    seeds = f" Seeds: {', '.join(map(str, report.seeds))}." if report.seeds else ""
    lines = [f"    {report.command}", "", f"Taken {report.taken:%Y-%m-%d}. {machine}. {used}.{seeds}"]
    for table in report.tables:
        lines += ["", f"{table.title}:", ""] if table.title else [""]
        lines.append("| " + " | ".join(map(cell, table.columns)) + " |")
        lines.append("|" + "---|" * len(table.columns))
        lines += ["| " + " | ".join(map(cell, row)) + " |" for row in table.rows]
    for plot in report.plots:
        lines += ["", f"![{plot.title}]({plots_in}/{report.name}-{plot.name}.svg)"]
    return "\n".join(lines)


def cell(value: Cell) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else value.replace("|", "\\|").replace("\n", " ")


def keep(report: Report, folder: Path) -> None:
    """Keep a report among the results of a folder of pages, and write its plots and its page.

    Raises InvalidInput when the folder is not there, or a plot has nothing to draw.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder to write pages into")
    pages = _written(report, folder)
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / f"{report.name}.json").write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
    _write(pages)


def pages(folder: Path) -> list[Path]:
    """Write every plot and page of a folder anew from the results kept in it; those that were not as they should be.

    Raises InvalidInput, naming the file, when a result cannot be read.
    """
    changed = []
    for file in sorted((folder / "results").glob("*.json")):
        try:
            report = Report.model_validate_json(file.read_text("utf-8"))
        except (OSError, ValidationError) as error:
            raise InvalidInput(f"{file} is no report of figures: {error}") from error
        changed += _write(_written(report, folder))
    return changed


def _write(files: Mapping[Path, str]) -> list[Path]:
    """Write the files that are not so yet; which those were."""
    changed = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_text(files[path], "utf-8")
    return changed


def _written(report: Report, folder: Path) -> dict[Path, str]:
    """Every file that stands for a report, by its path, as it has to be."""
    begins, ends = f"<!-- measured: {report.name} -->", "<!-- end -->"
    block = f"{begins}\n{markdown(report)}\n{ends}"
    found = {page: text for page in sorted(folder.glob("*.md")) if begins in (text := page.read_text("utf-8"))}
    if not found:
        found = {folder / f"{report.name}.md": f"# {report.title}\n\n{begins}\n{ends}\n"}
    between = re.compile(re.escape(begins) + r".*?" + re.escape(ends), re.DOTALL)
    try:
        drawn = {folder / "plots" / f"{report.name}-{plot.name}.svg": plot.svg() for plot in report.plots}
    except ValueError as error:
        raise InvalidInput(f"{report.name}: {error}") from error
    return {page: between.sub(lambda _: block, text) for page, text in found.items()} | drawn
