"""Clicking through the inspector over a real store: what is known, why, since when, and what may be done about it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import AXE, KEY, PATIENCE, USER, Served, Watched, go, look_closely, populate, shot, slide, unfold
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from memory_agent.exchange import lines
from memory_agent.records import Adapter, Entity, Fact

FACTS = "aside.panel ul.facts li"
PLACES = "JSON.stringify(document.querySelector('.canvas')._cyreg.cy.nodes().map((n) => [n.id(), n.position()]).sort())"
SHOWN = (
    "document.querySelector('.canvas')._cyreg.cy.edges().filter((e) => e.visible())"
    ".map((e) => [e.data('label'), e.hasClass('past')])"
)


def until(page: Page, holds: Callable[[list[list[Any]]], bool], why: str = "") -> list[list[Any]]:
    """The facts drawn, once `holds` is true of them: the drawing follows what is set, a frame or more later."""
    end = time.monotonic() + PATIENCE / 1000
    while not holds(drawn := page.evaluate(SHOWN)):
        assert time.monotonic() < end, (why, drawn)
        page.wait_for_timeout(50)
    return drawn


def test_time_passes_and_nothing_moves(page: Page) -> None:
    assert KEY not in page.url, "the key stays in no history"
    expect(page.locator(FACTS).first).to_be_visible()
    shot(page, "graph")
    now = until(page, lambda drawn: ["lives in", True] in drawn, "what is superseded is shown, faded")
    before = page.evaluate(PLACES)
    slide(page, "when", 0)
    expect(page.locator("output[for=when]")).to_have_text(re.compile(r"^\d+ [A-Z][a-z]{2} \d{4}$"))
    until(page, lambda early: len(early) < len(now) and ["lives in", True] not in early)
    slide(page, "when", 999)
    slide(page, "known", 0)
    expect(page.locator("output[for=known]")).not_to_have_text("now")
    until(page, lambda known: 0 < len(known) < len(now), "what was not known yet is not there")
    assert page.evaluate(PLACES) == before
    slide(page, "known", 999)
    page.uncheck("#past")
    until(page, lambda drawn: ["lives in", True] not in drawn)
    assert page.evaluate(PLACES) == before


def test_filters_search_and_a_click_lead_to_the_words(page: Page) -> None:
    page.click("text=none")
    expect(page.locator(".nothing")).to_be_visible()
    page.check("[data-cls=family]")
    until(page, lambda drawn: {label for label, _ in drawn} == {"spouse", "sibling"})
    page.click("button.plain:text-is('all')")
    page.fill("#find", "bouzouki")
    expect(page.locator(FACTS)).to_have_count(1)
    page.fill("#find", "")
    expect(page.locator(FACTS).nth(10)).to_be_visible()
    until(page, lambda drawn: len(drawn) > 10)
    at = page.evaluate(
        "(() => { const cy = document.querySelector('.canvas')._cyreg.cy; const edge = cy.edges().filter((e) => "
        "e.data('label') === 'spouse')[0]; const box = cy.container().getBoundingClientRect();"
        " const p = edge.renderedMidpoint(); return [box.left + p.x, box.top + p.y] })()"
    )
    page.mouse.click(*at)
    expect(page.locator("aside.panel h2")).to_contain_text("married")
    expect(page.locator("blockquote").first).to_contain_text("married")
    unfold(page)
    expect(page.locator(".around mark")).to_contain_text("married")
    shot(page, "graph-fact")


def test_near_something_and_by_keyboard_alone(page: Page) -> None:
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).not_to_be_empty()
    name = page.locator("aside.panel h2").inner_text()
    whole = len(page.evaluate(SHOWN))
    page.keyboard.press("f")
    expect(page.locator(".crumbs")).to_contain_text(name)
    until(page, lambda drawn: len(drawn) < whole)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".crumbs")).to_have_text("Everything")
    until(page, lambda drawn: len(drawn) == whole)
    page.focus("#when")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#when")).to_have_attribute("aria-valuetext", re.compile(r"[A-Z][a-z]{2} \d{4}"))


def test_memories_filter_sort_and_open(page: Page) -> None:
    go(page, "memories")
    rows = page.locator("tbody tr")
    expect(rows.nth(20)).to_be_visible()
    page.select_option("label:has-text('Status') select", "superseded")
    expect(page.locator("tbody")).to_contain_text("Aarhus")
    assert rows.count() < 8
    page.select_option("label:has-text('Status') select", "")
    page.select_option("label:has-text('Weights') select", "known")
    expect(rows).to_have_count(12)
    page.select_option("label:has-text('Weights') select", "")
    page.click("th[data-by=confidence] button")
    expect(page.locator("th[data-by=confidence]")).to_have_attribute("aria-sort", "ascending")
    shown = [int(text.removesuffix(" %")) for text in page.locator("tbody tr td:nth-child(6)").all_inner_texts()]
    assert shown == sorted(shown)
    shot(page, "memories")
    page.select_option("label:has-text('Weights') select", "known")
    page.click("tbody a >> nth=0")
    for words in ("In whose words", "History", "Rests on", "known by heart"):
        expect(page.locator(".record")).to_contain_text(words)
    shot(page, "record")


def test_conversations_show_what_was_read_and_what_was_refused(page: Page) -> None:
    go(page, "conversations/s08")
    expect(page.locator("article.turn mark").first).to_be_visible()
    expect(page.locator("ul.refused .badge").first).to_be_visible()
    shot(page, "conversation")
    page.click("ul.read a >> nth=0")
    expect(page.locator("h1")).not_to_have_text("Conversations")


def test_the_context_says_which_arm_found_what_and_four_modes_answer(page: Page) -> None:
    go(page, "context")
    page.fill("label:has-text('Question') input", "Where does Maren Oldenkott live?")
    page.click("text=Show the context")
    expect(page.locator("pre")).to_contain_text("Galway")
    expect(page.locator(".bar span").first).to_be_visible()
    assert page.locator("ul.arms meter").count() > 3
    page.click("text=Ask in four modes")
    expect(page.locator(".card .answer")).to_have_count(4)
    shot(page, "context")


def test_runs_are_differences_and_scorecards_and_may_be_rolled_back(page: Page, served: Served) -> None:
    go(page, "runs")
    page.click("nav.list a:has-text('closed'):not(:has-text('0 closed'))")
    expect(page.locator(".diff.closed")).to_be_visible()
    shot(page, "consolidation")
    page.click("nav.list a:has-text('refused')")
    expect(page.locator(".verdict.refused")).to_be_visible()
    expect(page.locator(".scorecard")).to_contain_text("fails")
    expect(page.locator("svg.plot").first).to_be_visible()
    shot(page, "distillation")
    page.click("text=Roll back: promote")
    page.click("dialog button.primary")
    expect(page.locator(".toast.good")).to_be_visible()
    adapters = served.memories.of(USER).space.ledger.select(Adapter)
    by_run = {adapter.run: adapter.state for adapter in adapters}
    assert by_run == {"run_distill0": "promoted", "run_distill1": "previous", "run_distill2": "refused"}


def test_a_correction_and_a_forgetting_go_through_the_ledger(page: Page, served: Served) -> None:
    memory = served.memories.of(USER)
    fact = next(f for f in memory.facts() if f.object == "accordion")
    go(page, f"record/{fact.id}")
    page.click("button:text-is('Correct')")
    page.fill("dialog input >> nth=0", "hurdy-gurdy")
    page.click("dialog button.primary")
    expect(page.locator("h1")).to_contain_text("hurdy-gurdy")
    assert [f.object for f in memory.facts() if f.subject == fact.subject and f.predicate == "plays"] == ["hurdy-gurdy"]
    assert memory.space.ledger.audit_chain()[-1].action == "update"
    gone = next(f for f in memory.facts() if f.object == "bouzouki")
    go(page, f"record/{gone.id}")
    page.click("text=Forget…")
    expect(page.locator("dialog")).to_contain_text("This would go: ")
    expect(page.locator("dialog")).to_contain_text("1 fact")
    assert memory.get(gone.id), "looking forgets nothing"
    shot(page, "forget")
    page.click("dialog button.danger")
    expect(page.locator(".toast.good:has-text('Forgotten')")).to_be_visible()
    assert not [f for f in memory.space.ledger.select(Fact) if f.id == gone.id]
    go(page, "audit")
    expect(page.locator("tbody")).to_contain_text("forget")
    expect(page.locator("body")).to_contain_text("the chain is whole")
    shot(page, "audit")


def test_a_page_whose_data_come_late_does_not_cover_the_next_one(page: Page) -> None:
    held: list[Route] = []
    page.route("**/inspect/weights*", lambda route: held.append(route))
    with page.expect_request("**/inspect/weights*"):
        page.evaluate("location.hash = '#/memories'")
    go(page, "audit")
    with page.expect_response("**/inspect/weights*"):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.locator("h1")).to_have_text("Audit")
    go(page, "memories")
    expect(page.locator("h1")).to_have_text("Memories")


def test_turns_come_in_the_pages_go_out_and_everything_can_be_deleted(
    context: BrowserContext, served: Served, watched: Watched, tmp_path: Path
) -> None:
    turn = {"role": "user", "speaker": "Ugo Stern", "content": "I live in Turin.", "at": "2025-03-01T10:00:00+00:00"}
    (tmp_path / "said.jsonl").write_text(json.dumps(turn), "utf-8")
    page = watched.watch(context.new_page())
    page.goto(served.at(user="ugo", key=KEY))
    page.wait_for_selector("h1")
    go(page, "audit")
    page.click("text=Import…")
    page.set_input_files("dialog input[type=file]", tmp_path / "said.jsonl")
    expect(page.locator("dialog select")).to_have_value("turns")
    page.click("dialog button.primary")
    expect(page.locator(".toast.good")).to_contain_text("1 turn taken in")
    go(page, "runs")
    page.click("text=Consolidate now")
    expect(page.locator("nav.list li")).to_have_count(1)
    go(page, "audit")
    with page.expect_download() as coming:
        page.click("text=Export the records")
    coming.value.save_as(tmp_path / "out.jsonl")
    assert "I live in Turin." in (tmp_path / "out.jsonl").read_text("utf-8")
    with page.expect_download() as coming:
        page.click("text=Export these pages as one file")
    coming.value.save_as(tmp_path / "out.html")
    alone = watched.watch(context.new_page())
    context.set_offline(True)
    alone.goto((tmp_path / "out.html").as_uri())
    expect(alone.locator(FACTS)).to_contain_text("Turin")
    for name in ("memories", "conversations", "runs", "audit"):
        go(alone, name)
        expect(alone.locator("h1")).to_have_text(name.capitalize())
    context.set_offline(False)
    page.click("text=Delete everything…")
    expect(page.locator("dialog")).to_contain_text("This would go: ")
    page.fill("dialog input", "maren")
    page.click("dialog button.danger")
    expect(page.locator("dialog [role=alert]")).to_contain_text("not the user's name")
    page.fill("dialog input", "ugo")
    page.click("dialog button.danger")
    expect(page.locator(".toast.good:has-text('Deleted')")).to_be_visible()
    assert served.memories.of("ugo").facts() == []


def test_two_names_of_one_person_become_one_and_two_again_and_a_turn_is_corrected(
    context: BrowserContext, served: Served, watched: Watched
) -> None:
    memory = served.memories.of("mo")
    said = ("My friend Bob Tanner plays the cello.", "My friend Robert Tanner lives in Ghent.")
    turns = [
        {"role": "user", "speaker": "Mo Hartel", "content": text, "at": "2024-05-02T10:00:00+00:00", "id": f"mo{n}"}
        for n, text in enumerate(said)
    ]
    memory.add(turns, session="s1")
    memory.consolidate()
    before = {(fact.subject, fact.object) for fact in memory.facts()}
    assert {("Bob Tanner", "cello"), ("Robert Tanner", "Ghent")} <= before
    ids = {entity.name: entity.id for entity in memory.space.ledger.select(Entity)}
    page = watched.watch(context.new_page())
    page.goto(served.at(user="mo", key=KEY))
    page.wait_for_selector("canvas")
    go(page, f"record/{ids['Bob Tanner']}")
    page.click("button:text-is('Merge into…')")
    page.select_option("dialog select", ids["Robert Tanner"])
    shot(page, "merge")
    page.click("dialog button.primary")
    expect(page.locator(".toast.good:has-text('They are one now')")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("Robert Tanner")
    expect(page.locator(".record")).to_contain_text("cello")
    assert ("Robert Tanner", "cello") in {(fact.subject, fact.object) for fact in memory.facts()}
    assert memory.space.ledger.audit_chain()[-1].action == "merge"
    go(page, f"record/{ids['Bob Tanner']}")
    page.click("button:text-is('Split off again…')")
    page.click("dialog button.primary")
    expect(page.locator(".toast.good:has-text('They are two again')")).to_be_visible()
    assert {(fact.subject, fact.object) for fact in memory.facts()} == before
    go(page, "record/mo1")
    page.click("button:text-is('Correct the words')")
    page.fill("dialog textarea", "My friend Robert Tanner lives in Bruges.")
    page.click("dialog button.primary")
    expect(page.locator("h1")).to_contain_text("Bruges")
    memory.consolidate()
    assert [fact.object for fact in memory.facts() if fact.predicate == "lives_in"] == ["Bruges"]


def test_distill_now_trains_and_tells_what_the_gate_said(
    context: BrowserContext, served: Served, watched: Watched
) -> None:
    memory = served.memories.of("dana")
    turn = {"role": "user", "speaker": "Dana Kohl", "content": "I live in Turin.", "at": "2024-05-02T10:00:00+00:00"}
    memory.add([turn], session="s1")
    memory.consolidate()
    page = watched.watch(context.new_page())
    page.goto(served.at(user="dana", key=KEY))
    page.wait_for_selector("canvas")
    go(page, "runs")
    page.click("text=Distill now")
    expect(page.locator("progress")).to_be_visible()
    expect(page.locator(".toast")).to_contain_text("Refused by the gate", timeout=4 * PATIENCE)
    page.click("nav.list a:has-text('refused')")
    expect(page.locator(".scorecard")).to_contain_text("fails")
    shot(page, "distilled")
    [adapter] = memory.space.ledger.select(Adapter)
    assert adapter.state == "refused", "random weights learn nothing worth promoting in a minute"


def test_a_large_graph_is_groups_and_every_fact_of_it_can_be_drawn(
    context: BrowserContext, served: Served, watched: Watched
) -> None:
    populate(served.memories.of("many"), 900)
    page = watched.watch(context.new_page())
    page.goto(served.at(user="many", key=KEY))
    expect(page.locator(FACTS).first).to_be_visible()
    shot(page, "groups")
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    group = page.locator("aside.panel h2").inner_text()
    page.click("button:text-is('Open this group')")
    expect(page.locator(".crumbs")).to_contain_text(group)
    assert len(page.evaluate(SHOWN)) > 20
    shot(page, "group")
    page.check("#everything")
    drawn = "() => Number(document.querySelector('canvas.whole').dataset.drawn)"
    page.wait_for_function(f"{drawn} > 1700")
    shot(page, "every-fact")
    slide(page, "when", 0)
    page.wait_for_function(f"{drawn} < 100")
    slide(page, "when", 10_000)
    page.wait_for_function(f"{drawn} > 1700")
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    name = page.locator("aside.panel h2").inner_text()
    assert name.startswith("Person ")
    for _ in range(12):
        page.keyboard.press("+")
    page.wait_for_function(f"{drawn} < 1000")
    shot(page, "every-fact-near")
    page.keyboard.press("f")
    expect(page.locator(".crumbs")).to_contain_text(name)
    expect(page.locator("canvas.whole")).to_have_count(0)


def test_the_page_obeys_the_servers_keys(context: BrowserContext, served: Served, watched: Watched) -> None:
    key, _ = served.serving.keys.create(tenant="default", role="reader")
    watched.expected = {"401", "403"}
    page = watched.watch(context.new_page())
    page.goto(served.at())
    expect(page.locator("dialog")).to_contain_text("asks for a key")
    page.fill("dialog input", key)
    page.click("dialog button.primary")
    expect(page.locator(FACTS).first).to_be_visible()
    go(page, "audit")
    expect(page.locator(".bad")).to_contain_text("a reader's")
    go(page, "conversations/s01")
    page.click("text=Forget this session…")
    expect(page.locator("dialog .bad").first).to_contain_text("a reader's")
    expect(page.locator("dialog button.danger")).to_be_disabled()


def test_exports_come_in_by_the_page(context: BrowserContext, served: Served, watched: Watched, tmp_path: Path) -> None:
    """Our own into an empty memory, and into no other; another memory's as turns; what is neither is refused."""
    watched.expected = {"422"}
    ours = "".join(lines.write(served.memories.of(USER).space))
    mem0 = {"results": [{"id": "m1", "memory": "Iva Horn lives in Graz", "created_at": "2025-03-01T10:00:00Z"}]}
    for name, text in (("ours.jsonl", ours), ("mem0.json", json.dumps(mem0)), ("list.txt", "milk and bread")):
        (tmp_path / name).write_text(text, "utf-8")
    page = watched.watch(context.new_page())
    page.goto(served.at(user="iva", key=KEY))
    expect(page.locator("h2")).to_have_text("Nothing is known yet")

    def take(name: str, guessed: str, choose: str = "") -> None:
        go(page, "audit")
        page.click("text=Import…")
        page.set_input_files("dialog input[type=file]", tmp_path / name)
        expect(page.locator("dialog p.soft")).to_contain_text("looks like" if guessed else "not recognised")
        expect(page.locator("dialog select")).to_have_value(guessed)
        if choose:
            page.select_option("dialog select", choose)
        page.click("dialog button.primary")

    take("list.txt", "", "mem0")
    expect(page.locator("dialog [role=alert]")).to_contain_text("no JSON")
    shot(page, "import")
    page.click("dialog button:text-is('Cancel')")
    take("ours.jsonl", "slowwave")
    expect(page.locator(".toast.good").last).to_contain_text("records taken in")
    memory = served.memories.of("iva")
    assert {fact.text for fact in memory.facts()} == {fact.text for fact in served.memories.of(USER).facts()}
    take("mem0.json", "mem0")
    expect(page.locator(".toast.good").last).to_contain_text("1 turn taken in")
    take("ours.jsonl", "slowwave")
    expect(page.locator("dialog [role=alert]")).to_contain_text("is not empty")


def test_no_other_site_can_have_anything_changed(chromium: Browser, served: Served) -> None:
    """A page of another origin, open in the same browser as an inspector with its key, posts and deletes in vain."""
    context = chromium.new_context()
    mine = context.new_page()
    mine.goto(served.at(key=KEY))
    mine.wait_for_selector("canvas")
    memory = served.memories.of(USER)
    before = memory.space.ledger.position()
    other = context.new_page()
    other.route("http://attacker.invalid/**", lambda route: route.fulfill(body="<p>hello", content_type="text/html"))
    other.goto("http://attacker.invalid/")
    space = f"{served.url}/v1/spaces/{USER}"
    asked = other.evaluate(
        """async (space) => {
          const tried = [[`${space}/forget`, "POST", "text/plain"], [`${space}/forget`, "POST", "application/json"],
            [`${space}?reason=x`, "DELETE", null], [`${space}/turns`, "POST", "text/plain"],
            [`${space}/import`, "POST", "text/plain"]];
          const got = [];
          for (const [url, method, type] of tried) {
            const body = method === "POST" ? JSON.stringify({ id: "x", reason: "x", turns: [] }) : undefined;
            const sent = { method, body, credentials: "include", headers: type ? { "Content-Type": type } : {} };
            got.push(await fetch(url, sent).then((answer) => answer.status, () => "blocked"));
          }
          const form = document.createElement("form");
          form.method = "POST"; form.action = `${space}/consolidations`; form.target = "frame";
          const frame = document.createElement("iframe");
          frame.name = "frame"; document.body.append(frame, form); form.submit();
          await new Promise((done) => frame.addEventListener("load", done, { once: true }));
          return got;
        }""",
        space,
    )
    assert asked == ["blocked"] * 5, "the answer is not readable either"
    assert memory.space.ledger.position() == before
    assert memory.facts()
    context.close()


def again(page: Page, address: str, there: str) -> None:
    """Open the inspector anew at an address, not another part of the page that is open, and wait for what shows it."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(there)
    page.evaluate(AXE)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 390), ("dark", 1360), ("light", 390)])
def test_no_serious_fault_of_accessibility(
    chromium: Browser, served: Served, watched: Watched, scheme: str, width: int
) -> None:
    """Every view, every dialog and what folds out, by axe-core; and nothing is wider than the screen."""
    context = chromium.new_context(
        viewport={"width": width, "height": 840},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = watched.watch(context.new_page())

    def look(where: str) -> None:
        look_closely(page, where, f"{scheme}-{width}")

    watched.expected = {"401"}
    page.goto(served.at())
    expect(page.locator("dialog")).to_contain_text("asks for a key")
    page.evaluate(AXE)
    look("key")
    again(page, served.at(key=KEY), "canvas")
    memory = served.memories.of(USER)
    fact = next(f for f in memory.facts() if f.object == "Galway")
    views = ("graph", "memories", f"record/{fact.id}", "conversations/s08", "context", "runs/run_distill2", "audit")
    for to in views:
        go(page, to)
        page.wait_for_function("(to) => document.body.dataset.page === to", arg=to.split("/")[0])
        page.wait_for_selector("canvas" if to == "graph" else "h1")
        look(to.split("/")[0])
    go(page, f"graph/fact/{fact.id}")
    unfold(page)
    look("fact")
    dialogs = [
        (f"record/{fact.id}", "button:text-is('Correct')", "correct"),
        (f"record/{fact.id}", "text=Forget…", "forgetting"),
        (f"record/{fact.subject_id}", "text=Merge into…", "merging"),
        (f"record/{fact.sources[0].episode_id}", "text=Correct the words", "wording"),
        ("audit", "text=Import…", "importing"),
        ("audit", "text=Delete everything…", "deleting"),
    ]
    for to, button, name in dialogs:
        go(page, to)
        page.click(button)
        expect(page.locator("dialog h2")).to_be_visible()
        if name in ("forgetting", "deleting"):
            expect(page.locator("dialog")).to_contain_text("This would go")
        look(name)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
    again(page, served.at(user="nobody-yet", key=KEY), "h2:text-is('Nothing is known yet')")
    for to in ("graph", "memories", "conversations", "runs", "audit"):
        go(page, to)
        page.wait_for_selector("h1")
        look(f"empty-{to}")
    context.close()
