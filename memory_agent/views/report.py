"""What a distillation changed, as one page: the same questions before and after, side by side.

The page draws what it is given; who is right is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import networkx as nx

from memory_agent.records import Fact
from memory_agent.views.graph import fact_table, graph_svg
from memory_agent.views.page import esc, page

Verdict = Literal["right", "wrong", "idk"]
_HEADINGS = {
    "base": "before, closed book",
    "adapter": "after, closed book",
    "retrieval": "before, with retrieval",
    "both": "after, with retrieval",
}


@dataclass(frozen=True)
class Reply:
    """What one arm answered: `verdict` "right", "wrong", or "idk" for a plain "I don't know"."""

    text: str
    verdict: Verdict


@dataclass(frozen=True)
class Asked:
    """One question, what was expected of it, and the reply of each arm."""

    kind: str
    question: str
    expected: str
    replies: Mapping[str, Reply]


@dataclass(frozen=True)
class LoopReport:
    """Everything the page shows. Arms are named as `Memory.ask` names its modes."""

    title: str
    lead: str
    asked: Sequence[Asked]
    graph: nx.MultiDiGraph
    facts: Sequence[Fact]
    cards: Sequence[tuple[str, str, bool]] = ()
    """(figure, what it counts, whether the bar was met)."""
    shares: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    """What was counted -> arm -> (hits, of), drawn as bars."""
    details: Sequence[tuple[str, str]] = ()
    next: Sequence[str] = ()


def report_html(report: LoopReport) -> str:
    """The page, as one HTML document without scripts."""
    arms = [arm for arm in _HEADINGS if any(arm in row.replies for row in report.asked)]
    sections = [
        f'<div class="report"><header><h1>{esc(report.title)}</h1><p>{esc(report.lead)}</p></header>',
        f'<div class="cards">{"".join(_card(*card) for card in report.cards)}</div>',
        f"<h2>The same questions, before and after</h2>{_questions(report.asked, arms)}",
        f"<h2>Counted</h2>{_bars(report.shares, arms)}",
        f'<h2>The graph</h2><div class="inline">{graph_svg(report.graph)}</div>',
        f'<h2>What was learnt, and from which words</h2><div class="scroll">{fact_table(report.facts)}</div>',
        f"<h2>How</h2>{_details(report.details)}",
    ]
    if report.next:
        steps = "".join(f"<li><code>{esc(step)}</code></li>" for step in report.next)
        sections.append(f'<h2>Next</h2><ol class="next">{steps}</ol>')
    return page(report.title, "\n".join((*sections, "</div>")))


def _card(figure: str, caption: str, met: bool) -> str:
    return f'<div class="card {"good" if met else "bad"}"><b>{esc(figure)}</b><span>{esc(caption)}</span></div>'


def _questions(asked: Sequence[Asked], arms: Sequence[str]) -> str:
    head = "".join(f"<th>{esc(_HEADINGS[arm])}</th>" for arm in arms)
    rows = []
    for row in asked:
        cells = "".join(
            f'<td class="{esc(row.replies[arm].verdict)}">{esc(row.replies[arm].text)}</td>'
            if arm in row.replies
            else "<td></td>"
            for arm in arms
        )
        rows.append(
            f"<tr><td>{esc(row.question)}<br><em>{esc(row.kind)}</em></td><td>{esc(row.expected)}</td>{cells}</tr>"
        )
    return (
        f'<div class="scroll"><table><thead><tr><th>Question</th><th>Expected</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note">✓ right · ✗ wrong · ○ “I don’t know”</p>'
    )


def _bars(shares: Mapping[str, Mapping[str, tuple[int, int]]], arms: Sequence[str]) -> str:
    line, left, width = 24, 330, 420
    parts: list[str] = []
    y = 0
    for what, by_arm in shares.items():
        parts.append(f'<text x="0" y="{y + 16}" font-weight="600">{esc(what)}</text>')
        y += line
        for arm in (a for a in arms if a in by_arm):
            hits, of = by_arm[arm]
            share = hits / of if of else 0.0
            parts.append(
                f'<text class="soft" x="{left - 14}" y="{y + 15}" text-anchor="end">{esc(_HEADINGS[arm])}</text>'
                f'<rect class="track" x="{left}" y="{y + 4}" width="{width}" height="14" rx="7"/>'
                f'<rect class="{esc(arm)}" x="{left}" y="{y + 4}" width="{share * width:.1f}" height="14" rx="7"/>'
                f'<text x="{left + width + 14}" y="{y + 15}">{hits} of {of}</text>'
            )
            y += line
        y += line // 2
    return f'<svg class="bars" viewBox="0 0 860 {max(y, 1)}" width="860" style="max-width:100%">{"".join(parts)}</svg>'


def _details(details: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{esc(name)}</td><td>{esc(value)}</td></tr>" for name, value in details)
    return f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'
