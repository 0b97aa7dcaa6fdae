"""Figures become pages: stamped, drawn, and the same each time they are written."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.errors import InvalidInput
from memory_agent.evaluation import cost, dynamics, plots, report, scale
from memory_agent.evaluation.report import Plot, Table, command, keep, markdown, pages, stamped
from memory_agent.testing import HashEmbedder

ROOT = Path(__file__).parents[2]
FIGURES = st.floats(-1e9, 1e9, allow_nan=False)
ABOVE_ZERO = st.floats(1e-6, 1e9)


def inside(svg: str) -> ElementTree.Element:
    """The parsed picture, all of whose marks lie within it."""
    root = ElementTree.fromstring(svg)
    wide, high = map(float, root.attrib["viewBox"].split()[2:])
    for mark in root.iter():
        for name, end in (("x", wide), ("cx", wide), ("y", high), ("cy", high)):
            if name in mark.attrib:
                assert -1 <= float(mark.attrib[name]) <= end + 1, mark.attrib
    return root


@given(st.lists(st.tuples(FIGURES, st.none() | FIGURES), min_size=1, max_size=6), st.none() | st.floats(0, 1e9))
def test_bars_of_any_figures_are_a_picture(rows: list[tuple[float, float | None]], aim: float | None) -> None:
    groups = [f"<{n} & more" for n in range(len(rows))]
    root = inside(plots.bars('a "title"', groups, {"a": [a for a, _ in rows], "b": [b for _, b in rows]}, aim=aim))
    drawn = [mark for mark in root.iter() if mark.tag.endswith("rect") and len(mark)]
    assert len(drawn) == sum(value is not None for row in rows for value in row)


@given(st.lists(st.tuples(ABOVE_ZERO, ABOVE_ZERO), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_lines_through_any_points_are_a_picture(points: list[tuple[float, float]], log_x: bool, log_y: bool) -> None:
    root = inside(plots.lines("t", {"a": points}, log_x=log_x, log_y=log_y))
    assert sum(mark.tag.endswith("circle") for mark in root.iter()) == len(points)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="no points"):
        plots.lines("t", {"a": []})
    with pytest.raises(ValueError, match="logarithmic"):
        plots.lines("t", {"a": [(0, 1)]}, log_x=True)
    with pytest.raises(ValueError, match="one value for each of 2"):
        plots.bars("t", ["a", "b"], {"a": [1.0]})


def test_a_command_names_no_folder_of_the_machine() -> None:
    said = [
        "/opt/x/bin/memory-agent",
        "eval",
        "retrieval",
        "--dataset",
        "locomo:/data/here/locomo.json",
        "--page",
        "docs",
    ]
    assert command(said) == "memory-agent eval retrieval --dataset locomo:locomo.json"
    assert command(["memory-agent", "bench", "scale", "--page=docs", "--json"]) == "memory-agent bench scale --json"


def test_a_result_fills_the_page_that_names_it_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n\nWhy.\n\n<!-- measured: fast -->\nold\n<!-- end -->\n\nWhat it means.\n", "utf-8")
    table = Table(columns=("n", "ms", "who"), rows=((1000, 0.5, "a|b"), (2, None, "c")))
    plot = Plot(name="p", title="ms", form="bars", groups=("a",), series={"x": (0.5,)})
    keep(stamped("fast", "Fast", tables=[table], plots=[plot], seeds=[3]), tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("# Speed\n\nWhy.\n")
    assert text.endswith("\n\nWhat it means.\n")
    assert "| 1,000 | 0.500 | a\\|b |\n| 2 | - | c |" in text
    assert "Seeds: 3." in text
    assert "pydantic" in text
    assert "old" not in text
    assert (tmp_path / "plots" / "fast-p.svg").read_text("utf-8") == plot.svg()
    assert pages(tmp_path) == []
    page.write_text(text.replace("0.500", "0.100"), "utf-8")
    assert pages(tmp_path) == [page]
    assert page.read_text("utf-8") == text


def test_a_result_without_a_page_gets_one_and_a_broken_one_is_named(tmp_path: Path) -> None:
    keep(stamped("new", "New", tables=[Table(columns=("a",), rows=((1,),))]), tmp_path)
    assert (tmp_path / "new.md").read_text("utf-8").startswith("# New\n\n<!-- measured: new -->\n    ")
    (tmp_path / "results" / "new.json").write_text("{}", "utf-8")
    with pytest.raises(InvalidInput, match=r"new\.json"):
        pages(tmp_path)
    with pytest.raises(InvalidInput, match="no folder"):
        keep(stamped("new", "New", tables=[]), tmp_path / "gone")


def test_dynamics_and_scale_are_drawn_from_what_they_found() -> None:
    found = {name: {"value": 0.9, "n": 10} for name in ("extracted", *dynamics.AIMS)}
    lived = dynamics.report({"seed": 7, **found, "deletion_residue_bytes": {"value": 0, "n": 12}})
    assert lived.seeds == (7,)
    assert "| current | 0.900 | 10 | 0.980 |" in markdown(lived)
    figures = {"p50_ms": 1.0, "p95_ms": 2.0, "adds_per_s": 9.0, "rss_mb": 1.0, "disk_mb": 1.0, "found": 1.0}
    ours = dict.fromkeys(
        ("filtered_p50_ms", "filtered_p95_ms", "own_writes_seen", "after_a_write_p50_ms", "open_and_first_search_s"),
        1.0,
    )
    beside = {"peers": {"numpy": figures}, "ratios": {"numpy": 1.5}}
    grown = scale.report([{"n": n, **figures, **ours, **beside} for n in (10, 100)])
    assert [len(table.rows) for table in grown.tables] == [4, 2]
    assert grown.tables[1].rows[1][-1] == 1.5
    for plot in (*lived.plots, *grown.plots):
        inside(plot.svg())


def test_what_a_turn_costs_is_measured_step_by_step() -> None:
    found = cost.run(turns=12, seed=1, embedder=HashEmbedder())
    assert found["turns"] == found["steps"]["take_in"]["n"] == found["steps"]["consolidate"]["n"] == 12
    assert found["facts"] > 0
    assert found["bytes_a_turn"] > 100
    assert 0 < found["tokens"]["mean"] <= found["tokens"]["most"] <= cost.BUDGET
    assert all(step["mean_ms"] > 0 for step in found["steps"].values())
    inside(cost.report(found).plots[0].svg())


def test_every_page_shows_what_its_results_say() -> None:
    """No table is typed: a page that was edited by hand, or left behind by its result, is found here."""
    folder = ROOT / "docs" / "benchmarks"
    for file in sorted((folder / "results").glob("*.json")):
        kept = report.Report.model_validate_json(file.read_text("utf-8"))
        block = f"<!-- measured: {kept.name} -->\n{markdown(kept)}\n<!-- end -->"
        assert any(block in page.read_text("utf-8") for page in folder.glob("*.md")), file.name
        for plot in kept.plots:
            assert (folder / "plots" / f"{kept.name}-{plot.name}.svg").read_text("utf-8") == plot.svg()
