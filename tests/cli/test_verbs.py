"""The command line over a real store: what it prints for machines and people, and the exit codes it leaves with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from commanding import Said, command

from memory_agent import Memory
from memory_agent.cli import exits, learn
from memory_agent.cli.place import Place
from memory_agent.records import DistillationReport, Fact


def message(id: str, session: str, at: str, content: str, **more: str) -> dict[str, str]:
    return {"role": "user", "speaker": "Ana Brenner", "id": id, "session": session, "at": at, "content": content} | more


CHAT = [
    message("m1", "s1", "2025-01-10T10:00:00+00:00", "I live in Porto."),
    message("m2", "s1", "2025-01-10T10:01:00+00:00", "Noted.", role="assistant", speaker="assistant"),
    message("m3", "s2", "2025-03-10T10:00:00+00:00", "I play the cello."),
]


Run = Callable[..., Said]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that took the chat in and consolidated it."""
    folder = tmp_path_factory.mktemp("store")
    with Memory.open(folder / "m", user="ana") as memory:
        memory.add(CHAT)
        memory.consolidate()
    return folder / "m"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The whole command in this process, in an empty folder and with no settings in the environment."""
    for name in ("STORE", "USER", "TENANT"):
        monkeypatch.delenv(f"MEMORY_AGENT_{name}", raising=False)
    monkeypatch.chdir(tmp_path)

    return partial(command, capsys)


def test_ingest_twice_adds_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text("\n".join(json.dumps(row) for row in CHAT))
    where = ("--store", tmp_path / "m", "--user", "ana", "--json")
    first, second = run("ingest", "chat.jsonl", *where), run("ingest", "chat.jsonl", *where)
    assert (first.code, first.json["added"], first.json["sessions"]) == (0, ["m1", "m2", "m3"], 2)
    assert (second.code, second.json["added"], second.json["duplicates"]) == (0, [], ["m1", "m2", "m3"])


def test_search_finds_and_says_why(run: Run, store: Path) -> None:
    said = run("search", "Where does Ana live?", "--store", store, "--user", "ana", "--json")
    assert said.code == 0
    best = said.json["hits"][0]
    assert best["record"]["kind"] in ("episode", "fact")
    assert best["why"]["scores"]
    assert any(hit["id"] == "m1" for hit in said.json["hits"])
    shown = run("search", "Where does Ana live?", "--why", "--store", store, "--user", "ana")
    assert "m1" in shown.out
    assert "candidates:" in shown.out


@pytest.mark.parametrize("verb", [("facts", "--past"), ("search", "cello Porto", "--why")], ids=lambda verb: verb[0])
def test_ids_are_whole_on_a_narrow_screen(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    where = ("--store", store, "--user", "ana")
    found = run(*verb, *where, "--json").json
    ids = [fact["id"] for fact in (found["hits"] if verb[0] == "search" else found)]
    shown = run(*verb, *where).out
    assert any(len(id) > 20 for id in ids)
    assert [id for id in ids if id not in shown] == []
    assert "…" not in shown


def test_where_nothing_is_found_it_says_what_to_do(run: Run, store: Path, tmp_path: Path) -> None:
    nobody = ("--store", tmp_path / "new", "--user", "bo")
    assert f"no memory is at {tmp_path / 'new'}: name another with --store" in run("search", "cello", *nobody).err
    assert not (tmp_path / "new").exists(), "what only reads makes no store"
    run("doctor", *nobody)
    assert "Nothing was taken in for 'bo' in this store; memory-agent ingest" in run("facts", *nobody).out
    assert "memory-agent ingest" in run("search", "cello", *nobody).out
    (tmp_path / "chat.jsonl").write_text("\n".join(json.dumps(row) for row in CHAT))
    run("ingest", "chat.jsonl", *nobody)
    assert "Turns not read yet: 3; memory-agent consolidate" in run("graph", *nobody).out
    known = ("--store", store, "--user", "ana")
    assert "Nobody and nothing is called 'Zoë' here" in run("facts", "--about", "Zoë", *known).out
    assert run("facts", "--predicate", "allergic_to", *known).out == "No facts.\n"


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (("facts",), "--user alice or MEMORY_AGENT_USER"),
        (
            ("facts", "--user", "ana", "--as-of", "yesterday", "--store", "."),
            "'yesterday' is no moment: write 2024, 2024-03, 2024-03-14",
        ),
        (("ingest", "none.jsonl", "--user", "ana"), "cannot read none.jsonl: No such file or directory"),
        (("ingest", "latin.jsonl", "--user", "ana"), "cannot read latin.jsonl: it is no UTF-8"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_a_mistake_is_told_in_the_command_lines_words(
    run: Run, tmp_path: Path, words: tuple[str, ...], way_out: str
) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'{"content": "caf\xe9"}')
    said = run(*words)
    assert said.code == exits.USAGE
    assert way_out in said.err
    assert "Errno" not in said.err


def test_many_ids_are_told_by_their_number(run: Run, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": f"Number {n}.", "id": f"turn{n}"} for n in range(6)]
    with Memory.open(tmp_path / "m", user="ana") as memory:
        memory.add([*turns, {"role": "user", "content": "I play the cello.", "id": "apart"}])
    where = ("--store", tmp_path / "m", "--user", "ana")
    assert run("forget", "apart", "--dry-run", *where).out == "Would forget 1 episode.\n  apart\n"
    assert run("forget", "user:ana", "--dry-run", *where).out == "Would forget 7 episodes.\n"
    assert run("doctor", *where).out.startswith("7 episodes\n")
    assert run("consolidate", *where).code == exits.DONE
    assert "ana (ent_" in run("summary", "Ana", *where).out


def test_options_stand_before_the_verb_or_after_it(run: Run, store: Path) -> None:
    before = run("--store", store, "--user", "ana", "facts", "--json")
    after = run("facts", "--json", "--store", store, "--user", "ana")
    assert before.code == after.code == 0
    assert before.json == after.json
    assert run("--user", "bo", "--store", store, "facts", "--json", "--user", "ana").json == after.json


def test_settings_come_from_the_environment(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_AGENT_STORE", str(store))
    monkeypatch.setenv("MEMORY_AGENT_USER", "ana")
    assert {fact["object"] for fact in run("facts", "--json").json} >= {"Porto"}
    assert run("facts", "--json", "--user", "bo").json == []


def test_facts_with_their_words(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    where = ("--store", store, "--user", "ana")
    shown = run("facts", *where).out
    assert "Porto" in shown
    assert "“I live in Porto.”" in shown
    (fact,) = run("facts", "--about", "Ana Brenner", "--predicate", "lives_in", "--json", *where).json
    assert fact["sources"][0]["quote"] in "I live in Porto."
    assert run("facts", "--known-at", "2020-01-01", "--json", *where).json == []


def test_lineage_from_a_fact_to_its_turn(run: Run, store: Path) -> None:
    where = ("--store", store, "--user", "ana", "--json")
    (fact,) = run("facts", "--predicate", "lives_in", *where).json
    found = run("explain", fact["id"], *where).json
    assert found["record"]["id"] == fact["id"]
    assert any(record["kind"] == "episode" and record["id"] == "m1" for record in found["rests_on"])
    assert [version["version"] for version in run("history", fact["id"], *where).json] == [1]
    assert run("explain", fact["id"], *where[:-1]).out


def test_context_is_counted(run: Run, store: Path) -> None:
    said = run("context", "Where does Ana live?", "--budget", "300", "--store", store, "--user", "ana", "--json").json
    assert "Porto" in said["text"]
    assert 0 < said["tokens"] <= 300


def test_forget_shows_first_and_then_forgets(run: Run, tmp_path: Path) -> None:
    where = ("--store", tmp_path / "m", "--user", "ana")
    with Memory.open(tmp_path / "m", user="ana") as memory:
        memory.add(CHAT)
        memory.consolidate()
    dry = run("forget", "m1", "--dry-run", "--json", *where).json
    assert (dry["dry_run"], dry["forgotten"]["episode"]) == (True, ["m1"])
    assert run("facts", "--predicate", "lives_in", "--json", *where).json
    assert run("forget", "m1", "--json", *where).json["dry_run"] is False
    assert run("facts", "--predicate", "lives_in", "--json", *where).json == []
    assert run("explain", "m1", *where).code == exits.NOT_FOUND


def test_doctor_and_rebuild(run: Run, store: Path) -> None:
    where = ("--store", store, "--user", "ana")
    found = run("doctor", "--json", *where)
    assert (found.code, found.json["problems"], found.json["records"]["episode"]) == (0, [], 3)
    assert run("rebuild", "--json", *where).json["episode"] == 3
    assert "whole" in run("doctor", *where).out
    assert run("doctor", "--json", "--store", store).json["spaces"] == ["default/ana"]
    assert run("doctor", "--repair", "--json", *where).json["whole"] is True


def test_a_damaged_store_is_told_and_mended_where_it_is_derived(run: Run, tmp_path: Path) -> None:
    where = ("--store", tmp_path / "m", "--user", "ana")
    with Memory.open(tmp_path / "m", user="ana") as memory:
        memory.add(CHAT)
        memory.consolidate()
        with memory.space.ledger.transaction() as tx:
            tx.delete(Fact, [memory.facts()[0].id])
    told = run("doctor", "--json", *where)
    assert (told.code, told.json["problems"][0]["invariant"]) == (exits.FAILED, "derived")
    assert "--repair" in run("doctor", *where).out
    assert run("doctor", "--repair", *where).code == exits.DONE
    assert run("doctor", *where).code == exits.DONE


def test_backup_and_restore(run: Run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "key"
    key.write_text("correct horse battery staple")
    key.chmod(0o600)
    made = run("backup", tmp_path / "b", "--key-file", key, "--store", store, "--json")
    assert (made.code, made.json["encrypted"], made.json["rows"]["episode"]) == (0, True, 3)
    assert run("backup", tmp_path / "b", "--store", store).code == exits.USAGE
    assert run("restore", tmp_path / "b", "--check").code == exits.USAGE
    checked = run("restore", tmp_path / "b", "--check", "--key-file", key, "--json")
    assert [space["key"] for space in checked.json["spaces"]] == ["default/ana"]
    new = ("--store", tmp_path / "new")
    assert run("restore", tmp_path / "b", "--key-file", key, *new, "--forgotten", store).code == 0
    assert run("restore", tmp_path / "b", "--key-file", key, *new).code == exits.USAGE
    assert {f["object"] for f in run("facts", "--user", "ana", "--json", *new).json} >= {"Porto"}
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes()[:-9])
    assert run("restore", tmp_path / "b", "--key-file", key, "--store", tmp_path / "n").code == exits.FAILED


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("facts", "--store", "m"), exits.USAGE),
        (("facts", "--store", "nothing://x", "--user", "a"), exits.USAGE),
        (("facts", "--nonsense"), exits.USAGE),
        (("nonsense",), exits.USAGE),
        (("ingest", "not-there.json", "--user", "a"), exits.USAGE),
        (("explain", "not-there", "--store", "m", "--user", "a"), exits.NOT_FOUND),
        (("distill", "--if-due", "--store", "m", "--user", "a"), exits.NOT_DUE),
        (("distill", "--store", "m", "--user", "a"), exits.NOT_DUE),
        (("chat", "hello", "--model", "nonsense", "--store", "m", "--user", "a"), exits.USAGE),
        (("facts", "--as-of", "someday", "--store", ".", "--user", "a"), exits.USAGE),
        (("facts", "--store", "mistyped", "--user", "a"), exits.NOT_FOUND),
    ],
)
def test_exit_codes(run: Run, arguments: tuple[str, ...], code: int) -> None:
    said = run(*arguments)
    assert said.code == code, said.err
    assert "Traceback" not in said.err
    assert said.err or code == exits.NOT_DUE


def test_a_held_lock_is_code_5(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Memory.open(tmp_path / "m", user="ana") as memory:
        memory.add(CHAT)
        with memory.space.ledger.lock("consolidate"):
            said = run("consolidate", "--store", tmp_path / "m", "--user", "ana", "--json")
    assert said.code == exits.LOCKED
    assert json.loads(said.err)["exit_code"] == exits.LOCKED
    assert json.loads(said.err)["error"] == "StoreBusy"


@pytest.mark.parametrize(("promoted", "code"), [(True, exits.DONE), (False, exits.REFUSED)])
def test_a_refused_distillation_is_code_4(promoted: bool, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    class Learnt:
        def distill(self, **given: object) -> DistillationReport:
            return DistillationReport(
                run="r", promoted=promoted, reasons=() if promoted else ("paraphrase below 0.85",)
            )

    class Here(Place):
        @contextmanager
        def memory(self, *, rebuild: bool = False) -> Iterator[Memory]:
            yield Learnt()  # type: ignore[misc]

    left = 0
    try:
        learn.distill(Here())
    except typer.Exit as out:
        left = out.exit_code
    assert left == code
    assert ("paraphrase below 0.85" in capsys.readouterr().out) is not promoted


def test_an_unexpected_error_is_a_message_and_with_debug_a_traceback(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **given: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(Memory, "facts", broken)
    said = run("facts", "--store", store, "--user", "ana")
    assert said.code == exits.FAILED
    assert "the disk is on fire" in said.err
    assert "Traceback" not in said.err
    with pytest.raises(RuntimeError, match="on fire"):
        run("--debug", "facts", "--store", store, "--user", "ana")


def test_remembered_words_are_not_markup(run: Run, tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m", user="ana") as memory:
        memory.add(
            [{"role": "user", "content": "[bold red]not markup[/bold red] [/] cello", "id": "x[1]"}], session="s"
        )
    shown = run("search", "cello", "--why", "--store", tmp_path / "m", "--user", "ana")
    assert shown.code == 0, shown.err
    assert "[bold red]not" in shown.out
