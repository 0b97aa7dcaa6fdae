"""Every verb with any arguments: it leaves with a documented exit code, and says in words what was wrong.

Words come from what people mistype and attackers try: empty, huge, negative, binary, paths that are not there, folders
for files, ids of nothing, dates that are none. Verbs that would go on for ever or for minutes if their arguments
happened to be right are given what cannot be right. `make soak` tries 150 times as many.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from commanding import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_agent import Memory
from memory_agent.cli import exits, main
from memory_agent.testing import HashEmbedder

CODES = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
ENDLESS = {"serve", "mcp", "inspect", "daemon", "worker", "chat"}
"""They would serve, work or listen: their store is one that cannot be opened, so that they end."""
COSTLY = {"distill", "ask", "rebuild"}
"""They would load a model: their store is empty, and what they are told of models names none."""
LONG = {"eval dynamics", "eval serial", "eval security", "eval nightly", "bench scale", "bench serving", "bench cost"}
"""They make their own input and compute for minutes: one of their numbers is always wrong."""


def verbs(group: Any, before: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, verb in group.commands.items():
        if hasattr(verb, "commands"):
            found |= verbs(verb, (*before, name))
        else:
            found[" ".join((*before, name))] = verb
    return found


VERBS = verbs(typer.main.get_command(main.app))
_ONE_WORD = """
-1 0 1 3 1e400 nan NaN 99999999999999999999 = a= a=b k=v=w channel=mail * % json csv turtle peft mem0
there.jsonl gone.jsonl broken.json binary folder folder/below gone/below locomo:there.jsonl beam:folder locomo: nope:x
2024 2024-13 2024-02-30 2025-W99 0000 9999-12-31 yesterday 2024-01-01T00:00:00 15m -5d episode=365d episode=
t1 fact_0000 ent_ claim_x fact:x=never user:bo user: session:s1 run_1 3fa81c09 key_ ü 日本 \u202e
Europe/Lisbon Mars/Base lora command export openai none http://127.0.0.1:9 postgresql:// redis://x
"""
ODD = ["", " ", "\x00", "x" * 5000, "'; --", "*/15 * * * *", "61 * * * *", *_ONE_WORD.split()]
"""Nothing here is a place outside the copied world, where a verb that writes might write."""
WORDS = st.sampled_from(ODD) | st.text(max_size=12).filter(lambda text: text[:1] not in ("-", "~") and "/" not in text)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a few facts, and files that are right, wrong and no files."""
    folder = tmp_path_factory.mktemp("fuzz")
    turn = {"role": "user", "speaker": "bo", "at": "2025-01-10T10:00:00+00:00"}
    with Memory.open(folder / "store", user="bo", embedder=HashEmbedder(384)) as memory:
        memory.add([turn | {"content": "I live in Porto.", "id": "t1"}], session="s1")
        memory.consolidate()
    (folder / "there.jsonl").write_text(json.dumps(turn | {"content": "I play chess."}) + "\n", "utf-8")
    (folder / "broken.json").write_text('{"facts": [{"subject": 1}', "utf-8")
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "folder").mkdir()
    return folder


def arguments(verb: str) -> st.SearchStrategy[list[str]]:
    """Words for a verb: arguments, some of its options with values, now and then an option it does not have."""
    command = VERBS[verb]
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in ("help", "store", "json")]
    given_options = [
        st.tuples(st.sampled_from(p.opts), *([] if p.is_flag else [WORDS])).map(list)
        for p in options
        if p.name not in ("user", "tenant")
    ]
    unknown = st.just(["--no-such-option"])
    asked = st.lists(st.one_of(*given_options, unknown) if given_options else unknown, max_size=3)
    count = sum(p.param_type_name == "argument" for p in command.params)
    return st.tuples(st.lists(WORDS, min_size=max(0, count - 1), max_size=count + 1), asked).map(
        lambda pair: [*(word for word in pair[0]), *(word for option in pair[1] for word in option)]
    )


def called(
    verb: str, words: list[str], world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """What a call leaves, in a copy of the world: its exit code, stdout and stderr."""
    here = world.parent / "here"
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(world, here)
    store = here / ("binary" if verb in ENDLESS else "nothing-yet" if verb in COSTLY else "store")
    more = {"--user": "bo", "--store": str(store)}
    line = [*verb.split(), *words, *(word for pair in more.items() for word in pair), "--json"]
    if verb in LONG:
        line += ["--seed", "one"] if verb.startswith("eval") else ["--no-such-option"]
    with monkeypatch.context() as patch:
        patch.chdir(here)
        patch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
        said = command(capsys, *line)
    return said.code, said.out, said.err


def holds(verb: str, words: list[str], left: tuple[int, str, str]) -> None:
    """What has to be so of every call."""
    code, out, err = left
    assert code in CODES, f"{verb} {words}: {code}\n{err}"
    assert "Traceback" not in out + err, f"{verb} {words}\n{err}"
    assert "unexpected " not in err or "unexpected extra argument" in err, f"{verb} {words}\n{err}"
    if code == exits.DONE and out.strip():
        json.loads(out)
    if code not in (exits.DONE, exits.NOT_DUE, exits.REFUSED, exits.FAILED):
        assert err.strip() or out.strip(), f"{verb} {words}: {code} without a word"
    if match := re.search(r"^\{.*\}$", err, re.MULTILINE):
        assert json.loads(match[0])["exit_code"] == code


def fuzzed(verb: str, examples: int, world: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("memory_agent.models.embedders.load_embedder", lambda settings: _embedder())
    monkeypatch.setenv("MEMORY_AGENT_STUDENT", "none")

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples < 100,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip
    @given(arguments(verb))
    def attempt(words: list[str]) -> None:
        holds(verb, words, called(verb, words, world, monkeypatch, capsys))

    attempt()


def _embedder() -> Any:
    from memory_agent.models.embedders import Embedder

    return Embedder(HashEmbedder(384), "HashEmbedder")


@pytest.mark.parametrize("verb", VERBS)
def test_any_arguments(verb: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    fuzzed(verb, 2, world, monkeypatch, capsys)


@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS)
def test_any_arguments_many_times(verb: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    fuzzed(verb, 300, world, monkeypatch, capsys)
