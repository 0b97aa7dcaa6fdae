"""Benchmark data sets read into one shape: conversations of sessions of turns, and questions with their evidence.

`locomo:PATH` is snap-research/locomo's JSON (CC BY-NC 4.0), `beam:DIR` a conversation folder of
mohammadtavakoli78/BEAM (chat.json, probing_questions.json) or a folder of such. Neither is shipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memory_agent.errors import InvalidInput
from memory_agent.records import Turn


@dataclass(frozen=True)
class Question:
    """What is asked, the category it counts under, and the ids of the turns that hold the answer."""

    text: str
    category: str
    evidence: tuple[str, ...]
    headline: bool = True
    """Whether it counts in the overall figures."""
    answer: str = ""


@dataclass(frozen=True)
class Conversation:
    """One conversation: its sessions in order, each a list of dated turns, and its questions that have evidence."""

    id: str
    sessions: Mapping[str, tuple[Turn, ...]]
    questions: tuple[Question, ...]


def load(dataset: str, conversations: list[str] | None = None) -> list[Conversation]:
    """Read `<format>:<path>`, of which only the named conversations when some are named.

    Raises InvalidInput on an unknown format, a path that cannot be read, content of another shape, or an unknown name.
    """
    form, found, path = dataset.partition(":")
    if not found or form not in _READERS:
        raise InvalidInput(f"{dataset!r}: name a data set as <format>:<path>, with a format of {', '.join(_READERS)}")
    everything = _READERS[form](Path(path).expanduser())
    if conversations is None:
        return everything
    known = {conversation.id: conversation for conversation in everything}
    if unknown := [name for name in conversations if name not in known]:
        raise InvalidInput(f"{path} has no conversation {unknown[0]!r}; it has {', '.join(known)}")
    return [known[name] for name in conversations]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error


_LOCOMO_SESSION = re.compile(r"session_(\d+)")
_LOCOMO_ID = re.compile(r"D(\d+):(\d+)")
_LOCOMO_DATE = "%I:%M %p on %d %B, %Y"
_LOCOMO_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}


def read_locomo(path: Path) -> list[Conversation]:
    """LoCoMo's conversations. A turn's id is its `dia_id`, a picture's caption stands in brackets after the text.

    Both speakers are people, so both have the role "user" under their own names. Adversarial
    questions are read, but kept out of the headline. Raises InvalidInput.
    """
    data = _json(path)
    data = data if isinstance(data, list) else [data]
    found = []
    for number, sample in enumerate(data, start=1):
        where = f"{path}, conversation {number}"
        try:
            sessions = _locomo_sessions(sample["conversation"])
            questions = _locomo_questions(sample.get("qa", []), {turn.id for s in sessions.values() for turn in s})
            found.append(Conversation(str(sample.get("sample_id", number)), sessions, questions))
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{where}: not LoCoMo's shape ({type(error).__name__}: {error})") from error
        except ValueError as error:
            raise InvalidInput(f"{where}: {error}") from error
    return found


def _locomo_sessions(conversation: Mapping[str, Any]) -> dict[str, tuple[Turn, ...]]:
    names = [name for name in conversation if _LOCOMO_SESSION.fullmatch(name)]
    sessions = {}
    for name in sorted(names, key=lambda name: int(name.rpartition("_")[2])):
        start = datetime.strptime(conversation[f"{name}_date_time"], _LOCOMO_DATE).replace(tzinfo=UTC)
        turns = []
        for place, turn in enumerate(conversation[name]):
            caption = turn.get("blip_caption")
            turns.append(
                Turn(
                    role="user",
                    speaker=turn["speaker"],
                    content=turn["text"] + (f" [image: {caption}]" if caption else ""),
                    # A session has one time; seconds keep its turns in order.
                    at=start + timedelta(seconds=place),
                    id=turn["dia_id"],
                    session=name,
                )
            )
        sessions[name] = tuple(turns)
    return sessions


def _locomo_questions(rows: list[Mapping[str, Any]], ids: set[str | None]) -> tuple[Question, ...]:
    questions = []
    for row in rows:
        # Some entries hold several ids, or one with leading zeros ("D8:6; D9:17", "D30:05").
        named = [f"D{int(s)}:{int(t)}" for entry in row.get("evidence", []) for s, t in _LOCOMO_ID.findall(entry)]
        evidence = tuple(dict.fromkeys(id for id in named if id in ids))
        if evidence:
            category = _LOCOMO_CATEGORIES[row["category"]]
            answer = str(row.get("answer", row.get("adversarial_answer", "")))
            questions.append(Question(row["question"], category, evidence, category != "adversarial", answer))
    return tuple(questions)


_BEAM_SETS = (
    "contradiction_resolution", "event_ordering", "information_extraction", "instruction_following", "knowledge_update",
    "multi_session_reasoning", "preference_following", "temporal_reasoning",
)  # fmt: skip
"""Categories whose evidence is a set of turns; a summary's is the whole conversation, an abstention's nothing."""
_BEAM_DATE = "%B-%d-%Y"


def read_beam(folder: Path) -> list[Conversation]:
    """BEAM's conversations: `folder` holds chat.json and probing_questions.json, or folders that do.

    A batch is a session, a turn's id its number. Questions without `source_chat_ids` are left out,
    summaries kept out of the headline. Raises InvalidInput.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder")
    if not (folder / "chat.json").is_file():
        inner = sorted(path for path in folder.iterdir() if (path / "chat.json").is_file())
        if not inner:
            raise InvalidInput(f"{folder}: neither it nor a folder in it holds a chat.json")
        return [conversation for path in inner for conversation in read_beam(path)]
    chat, probes = _json(folder / "chat.json"), _json(_beam_probes(folder))
    try:
        sessions = _beam_sessions(chat)
        ids = {turn.id for turns in sessions.values() for turn in turns}
        return [Conversation(folder.name, sessions, _beam_questions(probes, ids))]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInput(f"{folder}: not BEAM's shape ({type(error).__name__}: {error})") from error


def _beam_probes(folder: Path) -> Path:
    beside, below = folder / "probing_questions.json", folder / "probing_questions" / "probing_questions.json"
    return below if below.is_file() and not beside.is_file() else beside


def _beam_sessions(chat: list[Mapping[str, Any]]) -> dict[str, tuple[Turn, ...]]:
    sessions, day, second = {}, datetime(1970, 1, 1, tzinfo=UTC), 0
    for place, batch in enumerate(chat, start=1):
        name = f"batch-{batch.get('batch_number', place)}"
        turns = []
        anchors = [batch.get("time_anchor"), *(turn.get("time_anchor") for group in batch["turns"] for turn in group)]
        day = next((_beam_day(anchor) for anchor in anchors if anchor), day)
        for turn in (turn for group in batch["turns"] for turn in group):
            if turn.get("time_anchor"):
                day = _beam_day(turn["time_anchor"])
            second += 1
            turns.append(
                Turn(
                    role=turn["role"],
                    # The generator's plan reference ("->-> 1,4") is no part of what was said.
                    content=re.sub(r"\s*->->.*\Z", "", turn["content"], flags=re.DOTALL),
                    at=day + timedelta(seconds=second),
                    id=str(turn["id"]),
                    session=name,
                )
            )
        sessions[name] = tuple(turns)
    return sessions


def _beam_day(anchor: str) -> datetime:
    return datetime.strptime(anchor, _BEAM_DATE).replace(tzinfo=UTC)


def _beam_ids(value: object) -> list[str]:
    """The numbers in `source_chat_ids`: a list, or a mapping of names to lists, nested or not."""
    if isinstance(value, Mapping):
        return [id for part in value.values() for id in _beam_ids(part)]
    if isinstance(value, list):
        return [id for part in value for id in _beam_ids(part)]
    return [str(value)] if isinstance(value, (int, str)) else []


def _beam_questions(probes: Mapping[str, list[Mapping[str, Any]]], ids: set[str | None]) -> tuple[Question, ...]:
    questions = []
    for category, rows in probes.items():
        for row in rows:
            evidence = tuple(dict.fromkeys(id for id in _beam_ids(row.get("source_chat_ids")) if id in ids))
            if evidence:
                answer = str(row.get("ideal_response") or row.get("answer") or row.get("ideal_answer") or "")
                questions.append(Question(row["question"], category, evidence, category in _BEAM_SETS, answer))
    return tuple(questions)


_READERS = {"locomo": read_locomo, "beam": read_beam}
