"""Plots as SVG text: grouped bars, and lines over a linear or logarithmic axis.

Pure functions of their figures, so that a page drawn again is the same page. What is drawn is in the figures'
own table beside the plot; a plot only has to be read at a glance. Colours are Okabe and Ito's, which people
who see fewer colours can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#b8a900")
_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 32, 44, 64
_INK, _GRID = "#1a1f2b", "#d5dbe1"


def bars(
    title: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    y: str = "",
    aim: float | None = None,
    spans: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> str:
    """One group of bars for each of `groups`, in it one bar a series; None leaves a gap.

    `aim` is drawn as a dashed line, `spans` (low and high, for each group of a series) as thin lines over the bars.
    Negative values hang below zero. Raises ValueError when a series has another length than `groups`, or nothing is
    there to draw.
    """
    values = [v for row in series.values() for v in row if v is not None]
    if not groups or not values or any(len(row) != len(groups) for row in series.values()):
        raise ValueError(f"plot {title!r}: each series needs one value for each of {len(groups)} groups")
    ends = [end for row in (spans or {}).values() for span in row for end in span]
    ticks = _ticks(min(0.0, *values, *ends), max(0.0, *values, *ends, aim or 0.0))
    at = _scale(ticks[0], ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    slot = (_WIDTH - _LEFT - _RIGHT) / len(groups)
    wide = slot * 0.8 / len(series)
    body = [_across(at(tick), _number(tick)) for tick in ticks]
    for place, group in enumerate(groups):
        left = _LEFT + slot * place + slot * 0.1
        for nth, (name, row) in enumerate(series.items()):
            if (value := row[place]) is not None:
                top, below = sorted((at(value), at(0.0)))
                said = escape(f"{group}, {name}: {_number(value)}")
                body.append(
                    f'<rect x="{left + nth * wide:.1f}" y="{top:.1f}" width="{wide * 0.92:.1f}" '
                    f'height="{max(below - top, 0.5):.1f}" fill="{_colour(nth)}"><title>{said}</title></rect>'
                )
                if spans and name in spans:
                    middle, (low, high) = left + nth * wide + wide * 0.46, spans[name][place]
                    body.append(f'<path d="M{middle:.1f} {at(low):.1f}V{at(high):.1f}" stroke="{_INK}"/>')
        body.append(_text(left + slot * 0.4, _HEIGHT - _BOTTOM + 16, group, "middle"))
    return _frame(title, series, [*body, *_aim(aim, at)], y)


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str = "",
    y: str = "",
    log_x: bool = False,
    log_y: bool = False,
    aim: float | None = None,
) -> str:
    """A line with a dot at each (x, y) for each series.

    Raises ValueError when nothing is there to draw, or a logarithmic axis meets a value that is not above zero.
    """
    xs = [px for row in series.values() for px, _ in row]
    ys = [py for row in series.values() for _, py in row] + ([] if aim is None else [aim])
    if not xs:
        raise ValueError(f"plot {title!r}: no points")
    if (log_x and min(xs) <= 0) or (log_y and min(ys) <= 0):
        raise ValueError(f"plot {title!r}: a logarithmic axis has no place for zero and less")
    x_ticks = _decades(min(xs), max(xs)) if log_x else _ticks(min(xs), max(xs))
    y_ticks = _decades(min(ys), max(ys)) if log_y else _ticks(min(0.0, *ys), max(ys))
    at_x = _scale(x_ticks[0], x_ticks[-1], _LEFT, _WIDTH - _RIGHT, log_x)
    at_y = _scale(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP, log_y)
    body = [_across(at_y(tick), _number(tick)) for tick in y_ticks]
    body += [_text(at_x(tick), _HEIGHT - _BOTTOM + 16, _number(tick), "middle") for tick in x_ticks]
    body.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - _BOTTOM + 32, x, "middle"))
    for nth, (name, row) in enumerate(series.items()):
        ordered = sorted(row)
        path = " ".join(f"{at_x(px):.1f},{at_y(py):.1f}" for px, py in ordered)
        body.append(f'<polyline points="{path}" fill="none" stroke="{_colour(nth)}" stroke-width="2"/>')
        for px, py in ordered:
            said = escape(f"{name}: {_number(px)}, {_number(py)}")
            body.append(
                f'<circle cx="{at_x(px):.1f}" cy="{at_y(py):.1f}" r="3.5" fill="{_colour(nth)}">'
                f"<title>{said}</title></circle>"
            )
    return _frame(title, series, [*body, *_aim(aim, at_y)], y)


def _frame(title: str, names: Iterable[str], body: Sequence[str], y: str) -> str:
    """The picture around what is drawn: a white ground, so that it can be read on a dark page, title and legend."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}" font-family="system-ui, sans-serif" font-size="12">'
    )
    parts = [head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>']
    parts.append(_text(_LEFT, 18, title, "start", 'font-weight="700" font-size="14"'))
    parts.append(_text(_LEFT, 36, y, "start"))
    left = float(_LEFT)
    for nth, name in enumerate(names):
        parts.append(f'<rect x="{left:.0f}" y="{_HEIGHT - 18}" width="11" height="11" fill="{_colour(nth)}"/>')
        parts.append(_text(left + 15, _HEIGHT - 8, name, "start"))
        left += 30 + 6.6 * len(name)
    return "\n".join([*parts, *body, "</svg>"]) + "\n"


def _colour(nth: int) -> str:
    return COLOURS[nth % len(COLOURS)]


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}" {more}>{escape(words)}</text>'


def _across(y: float, label: str) -> str:
    """A line of the grid with its number."""
    line = f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>'
    return line + _text(_LEFT - 6, y + 4, label, "end")


def _aim(aim: float | None, at: Callable[[float], float]) -> list[str]:
    if aim is None:
        return []
    line = f'<path d="M{_LEFT} {at(aim):.1f}H{_WIDTH - _RIGHT}" stroke="{_INK}" stroke-dasharray="6 4"/>'
    return [line + _text(_WIDTH - _RIGHT, at(aim) - 4, f"aim {_number(aim)}", "end")]


def _scale(low: float, high: float, start: float, end: float, log: bool = False) -> Callable[[float], float]:
    """From a value between low and high to a place between start and end."""
    turn: Callable[[float], float] = math.log10 if log else float
    span = turn(high) - turn(low)
    return lambda value: start + (turn(value) - turn(low)) / span * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """Some five round numbers, the first not above `low`, the last not below `high`."""
    span = max(high - low, 1e-9 * max(1.0, abs(low), abs(high)))
    power: float = 10.0 ** math.floor(math.log10(span / 5))
    step = power * next(m for m in (1, 2, 2.5, 5, 10) if span / (m * power) <= 5.0001)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, max(last, first + 1) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """The powers of ten around."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    return [10.0**n for n in range(first, max(last, first + 1) + 1)]


def _number(value: float) -> str:
    """As short as it can be read."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.1e}".replace("e+0", "e").replace("e-0", "e-")
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
