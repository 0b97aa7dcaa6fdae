"""What every ledger has to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from memory_agent.errors import InvalidInput, StoreBusy, StoreError
from memory_agent.protocols import Ledger, Query, SpaceLedger
from memory_agent.records import (
    STORED,
    Entity,
    Episode,
    Fact,
)
from memory_agent.testing.conformance.samples import DAWN, a_fact, an_episode, one_of_each


class LedgerConformance:
    """What every ledger has to do."""

    def opened(self, folder: Path) -> AbstractContextManager[Ledger]:
        """The ledger in `folder`, open until the block ends; opening again gives the same one."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        with self.opened(tmp_path / "store") as ledger:
            yield ledger

    @pytest.fixture
    def space(self, ledger: Ledger) -> SpaceLedger:
        return ledger.space("default/alice")

    def test_every_kind_of_record_comes_back_as_it_went_in(self, space: SpaceLedger) -> None:
        records = one_of_each()
        assert {type(record) for record in records} == set(STORED)
        with space.transaction() as transaction:
            transaction.put(*records)
            position = transaction.position
        for record in records:
            assert space.select(type(record)) == [record.model_copy(update={"position": position})]
            assert space.count(type(record)) == 1

    def test_a_space_nobody_wrote_to_is_empty(self, ledger: Ledger, space: SpaceLedger) -> None:
        assert (space.select(Episode), space.count(Fact), space.position()) == ([], 0, 0)
        assert (space.match(["porto"], limit=5), space.audit_chain(), ledger.spaces()) == ([], [], [])

    def test_an_exception_rolls_everything_back(self, ledger: Ledger, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(an_episode("kept"))

        def broken_off() -> None:
            with space.transaction() as transaction:
                transaction.put(an_episode("lost", "a lost turn"), a_fact())
                transaction.delete(Episode, ["kept"])
                transaction.audit("add", ["lost"])
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            broken_off()
        assert [episode.id for episode in space.select(Episode)] == ["kept"]
        assert (space.count(Fact), space.match(["lost"], limit=5), space.audit_chain()) == (0, [], [])
        with space.transaction() as transaction:
            transaction.put(an_episode("next"))
        assert space.match(["Porto"], limit=5, kinds=("episode",))[0][0] in {"kept", "next"}
        assert ledger.check() == []

    def test_a_transaction_reads_its_own_writes_and_others_do_not(self, space: SpaceLedger) -> None:
        with ThreadPoolExecutor(1) as other, space.transaction() as transaction:
            transaction.put(an_episode("e1"))
            assert transaction.count(Episode) == 1
            assert [episode.id for episode in transaction.select(Episode, Query(ids=["e1"]))] == ["e1"]
            assert other.submit(space.count, Episode).result(timeout=20) == 0
        assert space.count(Episode) == 1

    def test_positions_only_grow_and_name_the_last_write(self, ledger: Ledger, space: SpaceLedger) -> None:
        other = ledger.space("default/bob")
        seen = [space.position()]
        for n, target in enumerate((space, other, space)):
            with target.transaction() as transaction:
                transaction.put(an_episode(f"e{n}"))
                assert transaction.position > seen[-1]
                seen.append(transaction.position)
            assert target.position() == seen[-1]
        assert other.position() == seen[2]
        with space.transaction() as transaction:
            transaction.select(Episode)
        assert space.position() == seen[3], "a transaction that wrote nothing moved the position"
        assert [episode.position for episode in space.select(Episode)] == [seen[1], seen[3]]

    def test_select_by_column_null_list_and_id(self, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(an_episode("a", run="r1"), an_episode("b", session="s2"), an_episode("c", speaker="Bob"))

        def ids(**query: Any) -> list[str]:
            return [episode.id for episode in space.select(Episode, Query(**query))]

        assert ids(where={"run": None}) == ["b", "c"]
        assert ids(where={"run": "r1"}) == ["a"]
        assert ids(where={"run": ["r1", None]}) == ["a", "b", "c"]
        assert ids(where={"session": ["s2", "s3"]}) == ["b"]
        assert ids(where={"session": []}) == []
        assert ids(where={"session": "s1", "speaker": "Bob"}) == ["c"]
        assert ids(where={"at": DAWN}) == ["a", "b", "c"]
        assert ids(ids=["c", "a", "unknown"]) == ["a", "c"]
        assert ids(ids=[]) == []
        assert space.count(Episode, Query(where={"run": None}, limit=1)) == 2

    def test_select_by_time_order_and_limit(self, space: SpaceLedger) -> None:
        hours = [DAWN + timedelta(hours=n) for n in range(4)]
        for n, at in enumerate(hours):
            with space.transaction() as transaction:
                transaction.put(an_episode(f"e{n}", at=at), an_episode(f"x{n}", at=at, session="other"))

        def ids(**query: Any) -> list[str]:
            return [episode.id for episode in space.select(Episode, Query(where={"session": "s1"}, **query))]

        assert ids() == ["e0", "e1", "e2", "e3"]
        assert ids(newest_first=True, limit=2) == ["e3", "e2"]
        assert ids(limit=0) == []
        assert ids(since=hours[1], until=hours[3]) == ["e1", "e2"]
        east = hours[2].astimezone(tz=None).astimezone(UTC)
        assert ids(since=east) == ["e2", "e3"]
        second = space.select(Episode, Query(ids=["e1"]))[0].position
        assert ids(after=second) == ["e2", "e3"]

    def test_what_cannot_be_selected_by_is_refused(self, space: SpaceLedger) -> None:
        for kind, query in (
            (Episode, Query(where={"content": "x"})),
            (Episode, Query(where={"id; DROP TABLE episode": "x"})),
            (Entity, Query(since=DAWN)),
            (Entity, Query(text_after=1)),
        ):
            with pytest.raises(InvalidInput):
                space.select(kind, query)
            with pytest.raises(InvalidInput):
                space.count(kind, query)

    def test_putting_again_replaces_and_moves_to_the_end(self, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(an_episode("a"), an_episode("b"))
        with space.transaction() as transaction:
            transaction.put(an_episode("a", run="r1"))
            last = transaction.position
        assert [(episode.id, episode.run) for episode in space.select(Episode)] == [("b", None), ("a", "r1")]
        assert [episode.id for episode in space.select(Episode, Query(after=last - 1))] == ["a"]
        assert space.select(Episode, Query(text_after=last - 1)) == [], "its text did not change"
        with space.transaction() as transaction:
            transaction.put(an_episode("a", "I moved to Faro"))
        assert [episode.id for episode in space.select(Episode, Query(text_after=last))] == ["a"]
        assert space.count(Episode, Query(text_until=last)) == 1
        assert [id for id, _ in space.match(["faro"], limit=5)] == ["a"]
        assert [id for id, _ in space.match(["porto"], limit=5)] == ["b"]

    def test_facts_are_kept_by_version(self, ledger: Ledger, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(a_fact())
        first = space.position()
        with space.transaction() as transaction:
            transaction.put(
                a_fact(retired_at=DAWN + timedelta(days=1), status="superseded"),
                a_fact(version=2, text="Alice lives in Faro.", object="Faro"),
            )
        assert [fact.version for fact in space.select(Fact, Query(ids=["f1"]))] == [1, 2]
        assert [fact.version for fact in space.select(Fact, Query(where={"retired_at": None}))] == [2]
        assert [fact.version for fact in space.select(Fact, Query(text_after=first))] == [1, 2]
        assert space.match(["porto"], limit=5) == []
        assert [id for id, _ in space.match(["faro"], limit=5)] == ["f1"]
        with space.transaction() as transaction:
            transaction.delete(Fact, ["f1"])
        assert space.count(Fact) == 0
        assert (space.match(["faro"], limit=5), ledger.check()) == ([], [])

    def test_words_are_found_whatever_their_form(self, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(
                an_episode("porto", "Eu mudei-me para o Pôrto em março, no São João"),
                an_episode("run", "We were running along the river"),
                an_episode("jp", "来月東京に引っ越します"),
                an_episode("ru", "Мы переехали в Москву"),
                an_episode("who", "Nothing of note", speaker="Benedikt"),
                a_fact("f1", "Alice runs marathons."),
            )

        def found(*words: str, **more: Any) -> set[str]:
            return {id for id, _ in space.match(words, limit=10, **more)}

        assert found("PORTO") == {"porto"}
        assert found("sao", "joão") == {"porto"}
        assert found("runs") == {"run", "f1"}
        assert found("runs", kinds=("fact",)) == {"f1"}
        assert found("runs", kinds=("episode",)) == {"run"}
        assert found("東京") == {"jp"}
        assert found("москву") == {"ru"}
        assert found("benedikt") == {"who"}
        assert found("River", "tokyo") == {"run"}

    def test_odd_words_never_break_the_search(self, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(an_episode("a", 'She said "AND" OR NOT near(c++) text:^* – ok?'))
        assert space.match([], limit=5) == []
        assert space.match(["", " ", "?!", "\x00", "日"], limit=5) == []
        for word in ('"', 'a"b', "AND", "NOT", "near(", "text:", "^*", "c++", "-", "\U0001f600", "x" * 5000):
            space.match([word, "ok"], limit=5)
        assert [id for id, _ in space.match(["ok", "?"], limit=5)] == ["a"]
        assert space.match(["ok"], limit=0) == []

    def test_better_matches_come_first(self, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(*(an_episode(f"n{n}", f"some talk of weather {n}") for n in range(20)))
            transaction.put(an_episode("both", "a violin lesson on Tuesday"), an_episode("one", "a lesson in patience"))
        found = space.match(["violin", "lesson"], limit=10)
        assert [id for id, _ in found] == ["both", "one"]
        assert found[0][1] > found[1][1] > 0
        assert space.match(["violin", "lesson"], limit=1) == found[:1]

    def test_spaces_never_see_each_other(self, ledger: Ledger, space: SpaceLedger) -> None:
        other = ledger.space("default/bob")
        with space.transaction() as transaction:
            transaction.put(an_episode("e1", "my secret garden"), an_episode("e2", "apples and pears"), a_fact())
            transaction.audit("add", ["e1"])
        alone = space.match(["garden"], limit=5)
        with other.transaction() as transaction:
            transaction.put(an_episode("e1", "bob's own garden"), a_fact(text="Bob lives in Rome."))
            transaction.put(*(an_episode(f"b{n}", f"garden number {n}") for n in range(30)))
            assert transaction.count(Fact) == 1
            transaction.delete(Episode, ["e2"])
        assert [episode.content for episode in space.select(Episode)] == ["my secret garden", "apples and pears"]
        assert space.match(["garden"], limit=50) == alone, "another space's words moved a score"
        assert "secret" not in {word for episode in other.select(Episode) for word in episode.content.split()}
        assert other.match(["secret", "porto"], limit=5) == []
        assert (len(other.audit_chain()), ledger.spaces()) == (0, ["default/alice", "default/bob"])

    def test_the_audit_chain_is_linked(self, ledger: Ledger, space: SpaceLedger) -> None:
        for n in range(3):
            with space.transaction() as transaction:
                transaction.audit("add", [f"e{n}"], actor="alice", detail="three turns")
        chain = space.audit_chain()
        assert [entry.ids for entry in chain] == [("e0",), ("e1",), ("e2",)]
        assert [entry.previous for entry in chain] == ["", chain[0].digest, chain[1].digest]
        assert len({entry.digest for entry in chain}) == 3
        assert (chain[0].actor, chain[0].action, chain[0].detail) == ("alice", "add", "three turns")
        assert ledger.check() == []

    def test_a_job_lock_is_held_once_and_says_by_whom(self, ledger: Ledger, space: SpaceLedger) -> None:
        with space.lock("consolidate"):
            held = pytest.raises(StoreBusy, match=r"consolidate is already running \(process \d+ on .+, since 20")
            with held, space.lock("consolidate"):
                pass
            with space.lock("distill"), ledger.space("default/bob").lock("consolidate"):
                pass
        with space.lock("consolidate"):
            pass

    def test_a_second_writer_waits_and_then_gives_up(self, space: SpaceLedger) -> None:
        def write(wait: float) -> None:
            with space.transaction(wait=wait) as transaction:
                transaction.put(an_episode("late"))

        with ThreadPoolExecutor(1) as other, space.transaction() as transaction:
            transaction.put(an_episode("early"))
            with pytest.raises(StoreBusy):
                other.submit(write, 0.05).result(timeout=20)
            patient = other.submit(write, 20.0)
            transaction.put(an_episode("early too"))
        assert {episode.id for episode in space.select(Episode)} >= {"early", "early too"}
        patient.result(timeout=20)
        assert space.count(Episode) == 3

    def test_a_transaction_within_a_transaction_is_refused(self, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            with pytest.raises(StoreError, match="already open"), space.transaction():
                pass
            transaction.put(an_episode())
        assert space.count(Episode) == 1

    def test_eight_threads_lose_nothing(self, ledger: Ledger) -> None:
        failures: list[BaseException] = []

        def work(n: int) -> None:
            space = ledger.space(f"default/user{n % 2}")
            try:
                for k in range(10):
                    with space.transaction() as transaction:
                        transaction.put(an_episode(f"t{n}-{k}", f"thread {n} writes {k}"))
                        transaction.audit("add", [f"t{n}-{k}"])
                    assert space.select(Episode, Query(ids=[f"t{n}-{k}"]))
                    assert space.match([f"thread {n}"], limit=100)
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        for n in range(2):
            space = ledger.space(f"default/user{n}")
            assert (space.count(Episode), len(space.audit_chain())) == (40, 40)
            positions = [episode.position for episode in space.select(Episode)]
            assert positions == sorted(set(positions))
        assert ledger.check() == []

    def test_compacting_changes_nothing_that_stands(self, ledger: Ledger, space: SpaceLedger) -> None:
        with space.transaction() as transaction:
            transaction.put(an_episode("a"), an_episode("b", "gone"), a_fact())
        with space.transaction() as transaction:
            transaction.delete(Episode, ["b"])
        ledger.compact()
        assert [episode.id for episode in space.select(Episode)] == ["a"]
        assert {id for id, _ in space.match(["porto", "gone"], limit=5)} == {"a", "f1"}
        assert ledger.check() == []


class DurableLedgerConformance(LedgerConformance):
    """What a ledger has to do that outlives `close`."""

    def test_everything_is_there_after_reopening(self, tmp_path: Path) -> None:
        with self.opened(tmp_path / "store") as ledger:
            space = ledger.space("default/alice")
            with space.transaction() as transaction:
                transaction.put(*one_of_each())
                transaction.audit("add", ["e1"])
            before = (space.position(), space.audit_chain(), [space.select(kind) for kind in STORED])
        with self.opened(tmp_path / "store") as ledger:
            space = ledger.space("default/alice")
            assert (space.position(), space.audit_chain(), [space.select(kind) for kind in STORED]) == before
            assert {id for id, _ in space.match(["porto"], limit=5)} == {"e1", "f1"}
            assert (ledger.spaces(), ledger.check()) == (["default/alice"], [])
