"""Stored attacks: turns, names and values full of HTML, scripts and bidi marks are shown as text, on every page."""

from __future__ import annotations

import itertools
from pathlib import Path

from browsing import KEY, Served, Watched
from playwright.sync_api import BrowserContext, Page

from memory_agent.records import Claim, Entity, Episode, Fact, Rejection, Source
from memory_agent.views import inspector_html

RUN = "window.__attacked=(window.__attacked||0)+1"
TEMPLATES = (
    "<script>{run}</script>",
    "</script><script>{run}</script>",
    '"><img src=x onerror="{run}">',
    "'><svg onload='{run}'>",
    "<svg><animate onbegin={run} attributeName=x dur=1s>",
    '<iframe srcdoc="<script>parent.{run}</script>">',
    "<details open ontoggle={run}>",
    "<input autofocus onfocus={run}>",
    '<math><mi xlink:href="javascript:{run}">x</mi></math>',
    "<style>@import'javascript:{run}'</style>",
    "<link rel=stylesheet href=//attacker.invalid/x.css>",
    "<base href=//attacker.invalid/>",
    "<meta http-equiv=refresh content='0;url=//attacker.invalid/'>",
    "<form action=//attacker.invalid/><button>",
    '<a href="javascript:{run}">x</a>',
    "javascript:{run}",
    "{{{{constructor.constructor('{run}')()}}}}",
    "${{{run}}}",
    "<!--<img src=x onerror={run}>-->",
    "]]><script>{run}</script>",
    "\u202e<img src=x onerror={run}>\u2066",
    "\u2028<script>{run}</script>\u2029",
    "<scr\x00ipt>{run}</scr\x00ipt>",
    "%3Cscript%3E{run}%3C/script%3E",
    "&lt;script&gt;{run}&lt;/script&gt;",
)
WRAPS = ("{}", "Ana {}", "{} of Porto", "\u202b{}", "<b>{}", "{}</p>", '" {}', "' {}")
PAYLOADS = tuple(
    wrap.replace("{}", template.format(run=RUN)) for template, wrap in itertools.product(TEMPLATES, WRAPS)
)  # fmt: skip
USER = "<img src=x onerror=window.__attacked=1>"


def remember_attacks(served: Served) -> list[Fact]:
    """Each payload as a turn, a speaker, a name, a value, a predicate, a quote, a reason and a session.

    They are put where the library's door would let few of them in, as a store from elsewhere may hold them.
    """
    memory = served.memories.of(USER)
    now = memory.space.clock.now()
    turns = [
        Episode(
            id=f"e{n}", session=PAYLOADS[n % 10], role="user", speaker=text, content=text, at=now, recorded_at=now,
            digest=f"d{n}", flags=(text,),
        )
        for n, text in enumerate(PAYLOADS)
    ]  # fmt: skip
    facts, others = [], []
    for n, text in enumerate(PAYLOADS):
        source = Source(episode_id=f"e{n}", start=0, end=len(text), quote=text, speaker=text, at=now)
        one = Fact(
            id=f"f{n} {text}" if n < 3 else f"f{n}",
            subject=text,
            subject_id=f"n{n % 40}",
            predicate=text if n % 2 else "lives_in",
            object=text,
            text=text,
            recorded_at=now,
            because=text,
            status="disputed",
            sources=(source,),
        )
        facts.append(one)
        claim = Claim(
            id=f"c{n}", episode_id=f"e{n}", start=0, end=len(text), quote=text, speaker=text, said_at=now,
            subject=text, subject_id=f"n{n % 40}", predicate=text, object=text, extractor=text,
        )  # fmt: skip
        others += [claim, Rejection(id=f"r{n}", episode_id=f"e{n}", reason=text, proposed=text)]
    named = [Entity(id=f"n{n}", name=PAYLOADS[n], type=PAYLOADS[n], aliases=(PAYLOADS[n + 1],)) for n in range(40)]
    with memory.space.ledger.transaction() as tx:
        tx.put(*turns, *facts, *others, *named)
    return facts


def look_around(page: Page, facts: list[Fact], at: str) -> None:
    """Open every page, and make sure that all it is made of is this page's own."""
    page.wait_for_selector("canvas")
    page.evaluate("document.querySelector('#find').dispatchEvent(new Event('input'))")
    named = [f"conversations/{_part(PAYLOADS[1])}", f"record/{_part(facts[0].id)}"]
    for to in ("graph", "memories", *named, "record/f7", "record/n3", "record/e9", "runs", "audit"):
        page.evaluate("(to) => { location.hash = '#/' + to }", to)
        page.wait_for_function("(to) => document.body.dataset.page === to", arg=to.split("/")[0])
        page.wait_for_selector("canvas" if to == "graph" else "h1")
        foreign = page.evaluate(
            "[...document.querySelectorAll('main script, main img, main iframe, main object, main embed, main style, "
            'main link, main base, main meta, main math, main form[action], main a[href]:not([href^="#/"])\')]'
            ".map((e) => e.outerHTML.slice(0, 200))"
        )
        assert foreign == [], (at, to)
        listening = page.evaluate(
            "[...document.querySelectorAll('main *')].flatMap((e) => [...e.attributes]"
            ".filter((a) => a.name.startsWith('on') || a.value.startsWith('javascript:') && a.name !== 'value')"
            ".map((a) => a.name))"
        )
        assert listening == [], (at, to)
        marks = page.evaluate("/[\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.innerText)")
        assert not marks, (at, to)
    page.evaluate("location.hash = '#/memories'")
    page.wait_for_selector("tbody tr")
    shown = page.locator("tbody").inner_text()
    assert "<script>window.__attacked" in shown, "it is shown, as text"
    assert page.evaluate("window.__attacked") is None, (at, "a payload ran")


def _part(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def test_two_hundred_payloads_are_text(
    context: BrowserContext, served: Served, watched: Watched, tmp_path: Path
) -> None:
    assert len(set(PAYLOADS)) >= 200
    facts = remember_attacks(served)
    page = watched.watch(context.new_page())
    page.goto(served.at(user=_part(USER), key=KEY))
    look_around(page, facts, "served")
    assert page.locator("#who").inner_text().startswith(USER)
    file = tmp_path / "attacks.html"
    file.write_text(inspector_html(served.memories.of(USER).space), "utf-8")
    alone = watched.watch(context.new_page())
    alone.goto(file.as_uri())
    look_around(alone, facts, "exported")
