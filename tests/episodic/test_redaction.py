"""Secrets and personal numbers: found with and without the detectors of others, and put out at the door."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.episodic import detectors
from memory_agent.episodic.screening import FLAGS, classes, find, redact, screen
from memory_agent.errors import InvalidInput
from memory_agent.testing import HashEmbedder


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("the bot's token is 110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawA", "secret:api_key"),
        ("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 works", "secret:api_key"),
        ("Ring me on +351 912 345 678.", "personal:phone"),
        ("My number is (212) 736-5000, call any time", "personal:phone"),
        ("El NIF es 12345678Z", "secret:national_id"),
        ("CPF 390.533.447-05", "secret:national_id"),
        ("mail me at ana.lima+x@example.co.uk", "personal:email"),
    ],
)
def test_detectors_of_others_find_what_ours_do_not_know(text: str, flag: str) -> None:
    assert detectors.available() == ("detect_secrets", "phonenumbers", "stdnum")
    assert flag in screen(text)
    (found,) = [f for f in find(text) if f.flag == flag][:1]
    assert text[found.start : found.end].strip() in text


@pytest.mark.parametrize(
    "text",
    [
        "Order 12345678A came in 2024-03-14 at 18:05.",
        "CPF 390.533.447-06 is wrong",
        "It cost 1 200 300 400 in all",
        "commit 9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c",
        "see me @ the bar, or @ana on the app",
    ],
)
def test_what_only_looks_like_one_is_left(text: str) -> None:
    assert screen(text) == ()


def test_without_the_extra_ours_still_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "_module", lambda name: None)
    detectors._plugins.cache_clear()
    try:
        assert detectors.available() == ()
        assert screen("my password is Tr0ub4dor&3, call +351 912 345 678, a@example.com") == (
            "secret:password",
            "personal:email",
        )
    finally:
        detectors._plugins.cache_clear()


@given(st.text(), st.sets(st.sampled_from([*FLAGS, "secret", "personal"])))
def test_redaction_takes_any_text_and_finds_nothing_of_it_again(text: str, doomed: set[str]) -> None:
    assert not [f for f in find(redact(text, doomed)) if f.flag in doomed]


def test_what_is_named_is_put_out_before_it_is_stored(tmp_path: Path) -> None:
    settings = settings_of(redact="secret, personal:phone")
    with Memory.open(tmp_path / "store", user="alice", embedder=HashEmbedder(16), settings=settings) as memory:
        turn = {
            "role": "user",
            "content": "My card is 4111 1111 1111 1111, call +351 912 345 678 or a@example.com",
            "metadata": {"note": ["pin 4821", {"deep": "4111111111111111"}]},
            "id": "t1",
        }
        report = memory.add([turn])
        assert report.flagged == {"t1": ("personal:email", "redacted")}
        stored = memory.get("t1")
        assert stored.content == "My card is [card removed], call [phone removed] or a@example.com"  # type: ignore[attr-defined]
        assert "4111" not in stored.model_dump_json()
        assert "4821" not in stored.model_dump_json()
        assert memory.add([turn]).duplicates == ("t1",)
        assert memory.verify("x", words=["4111 1111 1111 1111", "912 345 678"]).residue == {}


def settings_of(**given: str) -> Settings:
    return Settings.load({}, **given)


def test_an_unknown_class_is_refused() -> None:
    assert classes("secret, personal:phone") == {"secret", "personal:phone"}
    assert classes("") == frozenset()
    with pytest.raises(InvalidInput, match="secret:card"):
        classes("secrets")
