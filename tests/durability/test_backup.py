"""A backup is the whole store at one moment, is refused when it is not whole, and never overwrites anything."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lives import SETTINGS, lived, memory_of, said

from memory_agent import Memory
from memory_agent.backup import archive, backup, key_of, restore, verify
from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.doctor import examine
from memory_agent.encryption import Key
from memory_agent.errors import BackupDamaged, InvalidInput, MemoryAgentError, SealBroken
from memory_agent.moving import digest_of
from memory_agent.protocols import Portable
from memory_agent.records import Adapter, Episode
from memory_agent.space import open_backend
from memory_agent.testing.extractor import MarkedExtractor

KEY = Key.of("correct horse battery staple")


@pytest.fixture
def store(tmp_path: Path) -> str:
    lived(tmp_path / "store").close()
    lived(tmp_path / "store", "bob", ("Turku", "Graz")).close()
    return str(tmp_path / "store")


def digests(url: str) -> dict[str, tuple[str, list[str]]]:
    """Of each space everything that its ledger holds, as one hash, and its audit chain."""
    backend = open_backend(url)
    try:
        found = {}
        for key in backend.ledger.spaces():
            ledger = backend.ledger.space(key)
            assert isinstance(ledger, Portable)
            found[key] = (digest_of(ledger), [entry.digest for entry in ledger.audit_chain()])
        return found
    finally:
        backend.index.close()
        backend.ledger.close()


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_what_is_restored_is_row_for_row_what_was_backed_up(store: str, tmp_path: Path, key: Key | None) -> None:
    made = backup(store, tmp_path / "b", key=key)
    assert (len(made.spaces), made.encrypted, made.missing) == (2, key is not None, ())
    assert made.rows["episode"] == 6
    assert made.vectors > 6
    assert (b"fado" in (tmp_path / "b").read_bytes()) is False
    done = restore(tmp_path / "b", str(tmp_path / "new"), key=key)
    assert done.vectors == made.vectors
    assert digests(str(tmp_path / "new")) == digests(store)
    with memory_of(tmp_path / "new") as memory:
        state = memory.space.index.state()
        assert state is not None
        assert state.position == memory.space.ledger.position()
        assert memory.search("fado").hits
        assert examine(memory.backend, [memory.space]).problems == ()


def test_there_and_back_through_postgres(store: str, tmp_path: Path, postgres_url: str) -> None:
    backup(store, tmp_path / "b")
    restore(tmp_path / "b", postgres_url)
    again = restore(tmp_path / "b", postgres_url)
    assert (again.spaces, len(again.already_there)) == ((), 2)
    backup(postgres_url, tmp_path / "b2", key=KEY)
    restore(tmp_path / "b2", str(tmp_path / "new"), key=KEY)
    assert digests(str(tmp_path / "new")) == digests(postgres_url) == digests(store)
    with memory_of(postgres_url) as memory:
        memory.add([said("t9", "something else")])
    with pytest.raises(InvalidInput, match="other memories"):
        restore(tmp_path / "b", postgres_url)


def test_a_backup_without_vectors_is_smaller_and_is_embedded_anew(store: str, tmp_path: Path) -> None:
    whole = backup(store, tmp_path / "whole")
    less = backup(store, tmp_path / "less", vectors=False)
    assert less.bytes < whole.bytes
    restore(tmp_path / "less", str(tmp_path / "new"))
    with memory_of(tmp_path / "new") as memory:
        assert memory.space.index.count("episode") == 3


def test_one_users_memory_alone(store: str, tmp_path: Path) -> None:
    made = backup(store, tmp_path / "b", space="default/bob")
    assert made.spaces == ("default/bob",)
    with pytest.raises(InvalidInput, match="nothing of"):
        backup(store, tmp_path / "c", space="default/nobody")
    assert not (tmp_path / "c").exists()


def test_adapters_come_along_and_those_that_are_not_whole_are_told(store: str, tmp_path: Path) -> None:
    with memory_of(store) as memory:
        made = tmp_path / "made"
        made.mkdir()
        (made / "adapter_model.safetensors").write_bytes(random.Random(1).randbytes(100_000))
        (made / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        sha, _ = registry.keep(memory.space, made, {"rows": 3})
        now = memory.space.clock.now()
        with memory.space.ledger.transaction() as tx:
            for hash in (sha, "0" * 64):
                tx.put(
                    Adapter(
                        id=hash[:12],
                        shard=hash[:3],
                        state="promoted",
                        base="b",
                        facts=(),
                        sha256=hash,
                        created_at=now,
                    )
                )
    report = backup(store, tmp_path / "b")
    assert (report.adapters, report.missing) == (1, ("0" * 64,))
    restore(tmp_path / "b", str(tmp_path / "new"))
    with memory_of(tmp_path / "new") as memory:
        (whole, _) = registry.with_state(memory.space.ledger, "promoted")
        assert registry.verify(memory.space, whole)
        assert registry.manifest(memory.space, whole) == {"rows": 3}


def test_nothing_is_overwritten_and_nothing_lies_where_it_would_be_lost_too(store: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(InvalidInput, match="there already"):
        backup(store, tmp_path / "there")
    with pytest.raises(InvalidInput, match="lies in the store"):
        backup(store, tmp_path / "store" / "b")
    keyfile = tmp_path / "key"
    keyfile.write_text("correct horse battery staple")
    keyfile.chmod(0o600)
    with pytest.raises(InvalidInput, match="beside"):
        backup(store, tmp_path / "b", key=key_of(Settings(), keyfile))
    with pytest.raises(InvalidInput, match="goes with its process"):
        backup("memory://", tmp_path / "b")
    backup(store, tmp_path / "b")
    before = digests(store)
    with pytest.raises(InvalidInput, match="never overwrites"):
        restore(tmp_path / "b", store)
    assert digests(store) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "key", "store", "there"]


def test_keys(store: str, tmp_path: Path) -> None:
    backup(store, tmp_path / "b", key=key_of(Settings(backup_key="correct horse battery staple")))  # type: ignore[arg-type]
    assert verify(tmp_path / "b", key=KEY).spaces
    with pytest.raises(InvalidInput, match="is encrypted"):
        restore(tmp_path / "b", str(tmp_path / "new"))
    with pytest.raises(SealBroken):
        restore(tmp_path / "b", str(tmp_path / "new"), key=Key.of("correct horse battery stapler"))
    assert not (tmp_path / "new").exists()
    assert key_of(Settings()) is None
    assert "horse" not in repr(Settings(backup_key="correct horse battery staple"))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_no_damage_passes(store: str, tmp_path: Path, key: Key | None) -> None:
    backup(store, tmp_path / "b", key=key)
    whole = (tmp_path / "b").read_bytes()
    chance = random.Random(7)
    for n in range(40 if key is None else 8):
        damaged = bytearray(whole)
        if n % 2:
            damaged[chance.randrange(10, len(whole) - 8)] ^= 1 << chance.randrange(8)
        else:
            del damaged[chance.randrange(len(whole)) :]
        (tmp_path / "x").write_bytes(damaged)
        with pytest.raises((BackupDamaged, SealBroken)):
            restore(tmp_path / "x", str(tmp_path / "new"), key=key)
        assert not (tmp_path / "new").exists()
    with pytest.raises(InvalidInput, match="cannot be read"):
        verify(tmp_path / "not there")


def forged(tmp_path: Path, members: dict[str, bytes]) -> Path:
    """A backup with a manifest that fits these members."""
    with archive.Writing(tmp_path / "forged", None) as writing:
        for name, data in members.items():
            writing.add(name, data)
        writing.finish({"format": 1, "made_at": "2024-01-01T00:00:00+00:00", "version": "0", "spaces": []})
    return tmp_path / "forged"


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "spaces/0/adapters/../../evil.json", "spaces/0/adapters/" + "0" * 64 + "/a.pkl"]
)
def test_names_that_no_backup_has_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupDamaged, match="no backup of ours"):
        restore(forged(tmp_path, {name: b"x"}), str(tmp_path / "new"))


def test_what_a_manifest_does_not_tell_of_is_refused(tmp_path: Path) -> None:
    for members in ({"spaces/3/rows/0": b""}, {"spaces/0/rows/0": b'["episode", 1, 1, "{}"]'}):
        path = forged(tmp_path, members)
        with pytest.raises(BackupDamaged):
            verify(path)
        path.unlink()
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file, tarfile.open(fileobj=file, mode="w|") as tar:
        link = tarfile.TarInfo("spaces/0/audit")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "link").write_bytes(packed.getvalue())
    with pytest.raises(BackupDamaged):
        verify(tmp_path / "link")


@pytest.fixture
def writers(store: str) -> Iterator[list[str]]:
    """Threads that add and consolidate for as long as the test lasts; the ids that were acknowledged so far."""
    done, stop = list[str](), threading.Event()

    def write(name: str) -> None:
        with memory_of(store) as memory:
            for n in range(10**6):
                if stop.is_set():
                    return
                ids = [f"{name}{n}-{k}" for k in range(3)]
                memory.add([said(id, f"{{Alice | likes | {id}}}") for id in ids], session=name)
                if n % 3 == 2:
                    memory.consolidate(extractor=MarkedExtractor())
                done.extend(ids)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("x",)]
    for thread in threads:
        thread.start()
    yield done
    stop.set()
    for thread in threads:
        thread.join()


def test_backups_while_others_write_hold_one_moment(store: str, tmp_path: Path, writers: list[str]) -> None:
    for n in range(3):
        while len(writers) < 9 * (n + 1):
            pass
        before = set(writers)
        backup(store, tmp_path / f"b{n}")
        restore(tmp_path / f"b{n}", str(tmp_path / f"new{n}"))
        with memory_of(tmp_path / f"new{n}") as memory:
            held = {turn.id for turn in memory.space.ledger.select(Episode)}
            assert before <= held
            assert (len(held) - 3) % 3 == 0, "a transaction was torn"
            assert examine(memory.backend, [memory.space]).problems == ()


# what was forgotten after the backup


def later(store: str, *forgets: str, more: bool = True) -> None:
    with memory_of(store) as memory:
        if more:
            memory.add([said("t4", "And {Alice | likes | tea}", "2024-05-02")], session="s2")
            memory.consolidate(extractor=MarkedExtractor())
        for id in forgets:
            memory.forget(id, reason="asked for")


def restored(store: str, tmp_path: Path, forgotten: str | None = None) -> Memory:
    restore(tmp_path / "b", str(tmp_path / "new"), forgotten=forgotten, settings=SETTINGS)
    return memory_of(tmp_path / "new")


def test_without_a_later_ledger_what_was_forgotten_since_is_back(store: str, tmp_path: Path) -> None:
    backup(store, tmp_path / "b")
    later(store, "t2")
    with restored(store, tmp_path) as memory:
        assert memory.get("t2")


@pytest.mark.parametrize("through", ["store", "backup"])
def test_with_a_later_ledger_it_is_forgotten_again(store: str, tmp_path: Path, through: str) -> None:
    backup(store, tmp_path / "b")
    later(store, "t2")
    source = store
    if through == "backup":
        backup(store, tmp_path / "later")
        source = str(tmp_path / "later")
    with restored(store, tmp_path, source) as memory:
        assert [f.object for f in memory.facts("Alice", predicate="lives_in")] == ["Lisbon"]
        assert memory.verify("t2", words=["Porto"]).clean
        assert memory.get("t1")
        assert examine(memory.backend, [memory.space]).problems == ()
        with pytest.raises(MemoryAgentError):
            memory.get("t4")


def test_a_fact_that_was_forgotten_before_the_backup_had_read_it(store: str, tmp_path: Path) -> None:
    """The backup holds the turn unread: only the turn as it was cut keeps the fact from being read again."""
    with memory_of(store) as memory:
        memory.add([said("t5", "Rest stays. {Alice | likes | absinthe}", "2024-05-03")], session="s3")
    backup(store, tmp_path / "b")
    with memory_of(store) as memory:
        memory.consolidate(extractor=MarkedExtractor())
        (fact,) = [f for f in memory.facts("Alice", predicate="likes") if f.object == "absinthe"]
        memory.forget(fact.id, reason="asked for")
    with restored(store, tmp_path, store) as memory:
        memory.consolidate(extractor=MarkedExtractor())
        assert "absinthe" not in {f.object for f in memory.facts("Alice")}
        turn = memory.get("t5")
        assert isinstance(turn, Episode)
        assert turn.content.startswith("Rest stays. [forgotten]")
        assert memory.verify(fact.id, words=["absinthe"]).residue == {}
        assert examine(memory.backend, [memory.space]).problems == ()


def test_an_entity_and_its_name_in_blocks_and_turns(store: str, tmp_path: Path) -> None:
    with memory_of(store) as memory:
        memory.blocks.put("human", "Alice's sister Ana Field sings.")
    backup(store, tmp_path / "b")
    with memory_of(store) as memory:
        (entity,) = [n for n, d in memory.graph().nodes(data=True) if d.get("name") == "Ana Field" or n == "Ana Field"]
        (fact,) = memory.facts("Ana Field")
        assert entity
        memory.forget(fact.subject_id, reason="asked for")
    with restored(store, tmp_path, store) as memory:
        found = memory.verify(fact.subject_id, words=["Ana Field"])
        assert (found.forgotten, found.standing, found.indexed) == (True, (), ())
        assert "[forgotten]" in memory.blocks.get("human").value


def test_a_whole_user(store: str, tmp_path: Path) -> None:
    backup(store, tmp_path / "b")
    later(store, "user:alice")
    with memory_of(store) as memory:
        memory.add([said("t9", "a new beginning")])
    with restored(store, tmp_path, store) as memory:
        assert memory.space.ledger.count(Episode) == 0
        assert memory.verify("user:alice", words=["Lisbon"]).forgotten
    with memory_of(tmp_path / "new", "bob") as memory:
        assert memory.space.ledger.count(Episode) == 3


def test_a_turn_that_was_forgotten_and_said_again_stays(store: str, tmp_path: Path) -> None:
    backup(store, tmp_path / "b")
    later(store, "t3")
    with memory_of(store) as memory:
        memory.add([said("t3", "My sister: {Ana Field | works_at | Acme}", "2024-03-01")], session="s1")
    with restored(store, tmp_path, store) as memory:
        assert memory.get("t3")


def test_another_memory_is_no_later_state(store: str, tmp_path: Path) -> None:
    backup(store, tmp_path / "b")
    with lived(tmp_path / "other") as memory:
        memory.forget("t1", reason="asked for")
    with pytest.raises(InvalidInput, match="does not follow"):
        restored(store, tmp_path, str(tmp_path / "other"))
    assert not (tmp_path / "new").exists()
