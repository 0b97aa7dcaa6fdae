"""What all tests share: long ones run only when they are asked for (`make soak`, `pytest -m soak`)."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("memory_agent.testing.conformance")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" in config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
