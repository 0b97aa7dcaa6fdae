"""What long work says of itself: nothing on stdout, and in a log a line now and then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memory_agent.cli.place import Place, lines


def told(steps: list[tuple[float, float, str]]) -> list[str]:
    """What is written for steps of (seconds, share, word)."""
    times: Iterator[float] = iter([0.0, *(at for at, _, _ in steps)])
    written: list[str] = []
    progress = lines("Measuring", written.append, lambda: next(times))
    for _, share, word in steps:
        progress(share, word)
    return written


def test_a_log_gets_a_line_a_minute_with_the_time_left() -> None:
    steps = [
        (1.0, 0.0, "pass 1"),
        (59.0, 0.2, "pass 1"),
        (60.0, 0.25, "pass 2"),
        (70.0, 0.4, "pass 2"),
        (240.0, 0.8, ""),
    ]
    assert told(steps) == ["Measuring: 25%, about 3 min left: pass 2\n", "Measuring: 80%, about 1 min left\n"]


def test_what_is_over_soon_writes_nothing() -> None:
    assert told([(n / 10, n / 100, "") for n in range(100)]) == []


def test_of_a_run_taken_up_only_what_is_done_now_tells_the_pace() -> None:
    assert told([(0.0, 0.5, ""), (60.0, 0.75, "")]) == ["Measuring: 75%, about 1 min left\n"]


@pytest.mark.parametrize("json", [True, False])
def test_stdout_is_left_to_the_result(json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with Place(json=json).progress("Measuring") as progress:
        progress(0.5, "half")
    assert capsys.readouterr().out == ""
