"""How fast the inspector is with many facts; run by hand: `PYTHONPATH=tests python tests/browser/measure.py [FACTS]`.

A store of invented people in circles of friends is served over loopback to the machine's Chromium. First
paint is the browser's own `first-contentful-paint`, "answered" when the server's first byte was there;
"drawn" is when the graph's first picture is on its canvas; a slider move is from the input event to the end
of the frame that shows it. `cpu` figures are of the page's main thread alone, by its own clock, so they hold
on a machine that is busy with other things.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
from statistics import median
from typing import Any

from browsing import find_chromium, populate
from playwright.sync_api import CDPSession, Page, sync_playwright

from memory_agent.memories import Memories
from memory_agent.testing import HashEmbedder

MOVES = 40
MOVE = """async ([id, value]) => {
  const slider = document.getElementById(id);
  const began = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event('input'));
  const handled = performance.now();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return [handled - began, performance.now() - began];
}"""


def cpu(watch: CDPSession) -> float:
    """Milliseconds that the page's main thread has computed."""
    metrics = {metric["name"]: metric["value"] for metric in watch.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"] * 1000)


def moves(page: Page, watch: CDPSession, slider: str) -> dict[str, float]:
    """Milliseconds of moves over the whole slider: until handled, until on the screen, and computed."""
    most = int(page.get_attribute(f"#{slider}", "max") or 0)
    steps = [round(most * n / MOVES) for n in range(MOVES)]
    random.Random(1).shuffle(steps)
    before = cpu(watch)
    times = [page.evaluate(MOVE, [slider, step]) for step in steps]
    spent = (cpu(watch) - before) / MOVES
    handled, shown = (sorted(one[n] for one in times) for n in (0, 1))
    page.evaluate(MOVE, [slider, most])
    return {
        "handled_median": round(median(handled), 1), "handled_p95": round(handled[int(0.95 * MOVES)], 1),
        "shown_median": round(median(shown), 1), "shown_p95": round(shown[int(0.95 * MOVES)], 1),
        "cpu_mean": round(spent, 1),
    }  # fmt: skip


def measured(page: Page, address: str) -> dict[str, Any]:
    """The figures of one load and its sliders, grouped and with each fact drawn."""
    watch = page.context.new_cdp_session(page)
    watch.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    page.wait_for_function("() => performance.getEntriesByName('shown').length > 0", timeout=300_000)
    page.wait_for_timeout(1000)
    found: dict[str, Any] = page.evaluate(
        "({ answered: Math.round(performance.getEntriesByType('navigation')[0].responseStart),"
        " first_paint: Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime),"
        " drawn: Math.round(performance.getEntriesByName('shown')[0].startTime),"
        " elements: document.querySelector('.canvas')._cyreg.cy.elements().length })"
    )
    found["cpu"] = round(cpu(watch))
    found["true_at"], found["known_at"] = moves(page, watch, "when"), moves(page, watch, "known")
    if page.locator("#everything").is_visible():
        began = time.monotonic()
        page.check("#everything", timeout=300_000)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
        found["every_fact"] = {"drawn": round((time.monotonic() - began) * 1000), "true_at": moves(page, watch, "when")}
        found["every_fact"]["elements"] = page.evaluate("Number(document.querySelector('.whole').dataset.drawn)")
    return found


def main() -> None:
    """Measure, and print the figures."""
    import uvicorn

    from memory_agent.server import create_app
    from memory_agent.server.serving import Options

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder, Memories(folder, embedder=HashEmbedder(8)) as memories:
        populate(memories.of("ana"), count)
        app = create_app(memories, Options(own_key="k", requests_per_minute=0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        listening = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not (server.started and app.state.serving.warm):  # its index caught up, as that of a store in use is
            time.sleep(0.05)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/inspector?user=ana#key=k"
        with sync_playwright() as playwright:
            path = find_chromium()
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=300_000)
            browser.new_page().goto("data:text/html,<p>a browser that has painted before")
            figures = []
            for _ in range(2):  # the first load reads the store, the second finds the snapshot
                page = browser.new_page(viewport={"width": 1360, "height": 840})
                page.set_default_timeout(300_000)
                figures.append(measured(page, address))
                page.close()
            version = browser.version
            browser.close()
        server.should_exit = True
        thread.join(timeout=20)
    load = os.getloadavg()[0]
    print(json.dumps({"facts": count, "chromium": version, "load": load, "cold": figures[0], "warm": figures[1]}))


if __name__ == "__main__":
    main()
