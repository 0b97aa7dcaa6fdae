"""Lives that change: the generator is a function of its seed, and the state is scored against the truth."""

from __future__ import annotations

from memory_agent.evaluation import dynamics, serial
from memory_agent.evaluation.worlds import build, data
from memory_agent.testing import HashEmbedder


def test_a_world_is_a_function_of_its_seed_and_two_share_a_first_name() -> None:
    one, other = build(7), build(7)
    assert one == other
    assert one != build(8)
    firsts = [name.split()[0] for name in one.people]
    assert len(set(firsts)) == len(firsts) - 1


def test_what_scores_is_not_worded_as_what_rules_were_written_with() -> None:
    templates = data("dialogue")
    assert templates["seen"].keys() == templates["held"].keys()
    for kind, held in templates["held"].items():
        assert not set(held) & set(templates["seen"][kind])


def test_the_state_follows_the_truth() -> None:
    found = dynamics.run(3, worlds=1, people=3, embedder=HashEmbedder())
    assert found["extracted"]["value"] >= 0.7
    for name in ("current", "as_of", "cascade"):
        assert found[name]["value"] >= 0.95, found["wrong"]
    assert found["absence"]["value"] >= 0.98, found["wrong"]
    assert found["deletion"]["value"] == 1.0, found["wrong"]
    assert found["deletion_residue_bytes"] == {"value": 0, "n": 3}


def test_of_numbered_facts_the_later_one_holds() -> None:
    found = serial.run(60, seed=1)
    assert found["single_hop"]["value"] == 1.0
    assert found["multi_hop"]["value"] in (1.0, None)


def test_bytes_that_are_left_are_counted(tmp_path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin").write_bytes(b"xxQuillhaven quillHAVEN" + "Quillhaven".encode("utf-16-le"))
    assert dynamics.residue(tmp_path, ["Quillhaven", "Oxterby"]) == {"Quillhaven": 2 * 10 + 20}
