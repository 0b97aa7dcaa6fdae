"""What other memories wrote out, as turns for ours: mem0, Zep, Letta, LangMem.

Every remembered sentence becomes a turn that quotes it, dated and named by its origin ("mem0:<id>"), so
that it can be searched, explained and forgotten like any other. Where the origin holds a statement in
parts (Zep's edges, LangMem's triples), the turn carries it as `metadata["claim"]`, which
`consolidation.stated.Stated` reads; grounding still asks that the sentence say it.

    mem0      {"results": [...]} or a list of {"id", "memory", "created_at", "metadata"}
    zep       {"nodes", "edges", "episodes"} of a graph, as its API gives them
    letta     an agent file: "blocks", "messages", "passages", at the top or under "agents"
    langmem   items of a LangGraph store: {"namespace", "key", "value", "created_at"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from memory_agent.errors import MALFORMED, InvalidInput
from memory_agent.records import Role, Turn

_USER = re.compile(r"^(?:the )?user(?P<own>'s)?\b", re.I)


@dataclass
class Foreign:
    """Turns to take in, and blocks to set, by label."""

    turns: list[Turn] = field(default_factory=list)
    blocks: dict[str, str] = field(default_factory=dict)


def loads(text: str) -> Any:
    """The JSON document in `text`. Raises InvalidInput when it is none, or nested too deep to be one of a person's."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"this is no JSON: {error}") from error


def read(document: Any, origin: str, *, user: str) -> Foreign:
    """What the document of `origin` holds, the user called by name.

    Raises InvalidInput for an unknown origin or a document that is not of its form.
    """
    reader = _READERS.get(origin)
    if reader is None:
        raise InvalidInput(f"no import from {origin!r}: {', '.join(_READERS)}")
    try:
        found = reader(document, user)
    except MALFORMED as error:
        raise InvalidInput(f"this is no export of {origin}: {type(error).__name__}: {error}") from error
    if not found.turns and not found.blocks:
        raise InvalidInput(f"this is no export of {origin}, or an empty one: nothing to remember was found in it")
    return found


def _moment(*given: Any) -> datetime | None:
    """The first of `given` that is a time: ISO text, or seconds since 1970."""
    for value in given:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and value:
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    return None


def _named(text: str, user: str) -> str:
    """ "User prefers tea" with the user's name, written as one, in the place of "User"."""
    return _USER.sub(lambda m: f"{user[:1].upper()}{user[1:]}{m['own'] or ''}", text.strip())


def _turn(origin: str, id: Any, text: str, user: str, at: datetime | None, **more: Any) -> Turn:
    claim = more.pop("claim", None)
    metadata = {"origin": origin, **more, **({"claim": claim} if claim else {})}
    content = _named(text, user)
    return Turn(
        role="user", speaker=user, content=content, at=at, id=f"{origin}:{id}", session=origin, metadata=metadata
    )


def _mem0(document: Any, user: str) -> Foreign:
    rows = document["results"] if isinstance(document, Mapping) else document
    found = Foreign()
    for row in rows:
        kept = {"categories": row["categories"]} if row.get("categories") else {}
        at = _moment(row.get("updated_at"), row.get("created_at"))
        found.turns.append(_turn("mem0", row["id"], row["memory"], user, at, **kept))
    return found


def _zep(document: Any, user: str) -> Foreign:
    found = Foreign()
    names = {node["uuid"]: node["name"] for node in document.get("nodes", ())}
    for episode in document.get("episodes", ()):
        role: Role = "assistant" if episode.get("role_type", episode.get("role")) == "assistant" else "user"
        found.turns.append(
            Turn(
                role=role,
                speaker=episode.get("role") if episode.get("role_type") else None,
                content=episode["content"],
                at=_moment(episode.get("created_at")),
                id=f"zep:{episode['uuid']}",
                session=episode.get("session_id") or "zep",
                metadata={"origin": "zep"},
            )
        )
    for edge in document.get("edges", ()):
        claim = {
            "subject": _named(names.get(edge["source_node_uuid"], user), user),
            "predicate": edge["name"].lower(),
            "object": _named(names.get(edge["target_node_uuid"], ""), user),
            "valid_from": _day(edge.get("valid_at")),
            "valid_to": _day(edge.get("invalid_at")),
        }
        at = _moment(edge.get("created_at"), edge.get("valid_at"))
        found.turns.append(_turn("zep", edge["uuid"], edge["fact"], user, at, claim=claim if claim["object"] else None))
    return found


def _day(value: Any) -> str | None:
    at = _moment(value)
    return at.astimezone(UTC).date().isoformat() if at else None


def _letta(document: Any, user: str) -> Foreign:
    found = Foreign()
    agents = document.get("agents", [document])
    for block in [*document.get("blocks", ()), *(b for a in agents for b in a.get("core_memory", ()))]:
        if block.get("value", "").strip():
            found.blocks[block["label"]] = block["value"]
    for agent in agents:
        for number, said in enumerate(agent.get("messages", ())):
            text = _text(said.get("content", said.get("text")))
            role = said.get("role")
            if role in ("user", "assistant") and text.strip():
                turn = Turn(
                    role=role,
                    speaker=user if role == "user" else said.get("name"),
                    content=text,
                    at=_moment(said.get("created_at")),
                    id=f"letta:{said.get('id', number)}",
                    session="letta",
                    metadata={"origin": "letta"},
                )
                found.turns.append(turn)
    for passage in [*document.get("passages", ()), *(p for a in agents for p in a.get("passages", ()))]:
        at = _moment(passage.get("created_at"))
        found.turns.append(_turn("letta", passage["id"], passage["text"], user, at))
    return found


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or () if isinstance(part, Mapping))


def _langmem(document: Any, user: str) -> Foreign:
    rows = document["items"] if isinstance(document, Mapping) else document
    found = Foreign()
    for row in rows:
        value = row["value"]
        content = value.get("content", value)
        at = _moment(row.get("updated_at"), row.get("created_at"))
        where = "/".join(row.get("namespace") or ())
        if isinstance(content, Mapping) and {"subject", "predicate", "object"} <= content.keys():
            claim = {name: _named(str(content[name]), user) for name in ("subject", "predicate", "object")}
            text = f"{claim['subject']} {claim['predicate'].replace('_', ' ')} {claim['object']}."
            if content.get("context"):
                text = f"{text} {content['context']}"
            claim["predicate"] = claim["predicate"].lower().replace(" ", "_")
            found.turns.append(_turn("langmem", row["key"], text, user, at, namespace=where, claim=claim))
            continue
        text = content if isinstance(content, str) else content["content"]
        found.turns.append(_turn("langmem", row["key"], text, user, at, namespace=where))
    return found


_READERS: dict[str, Callable[[Any, str], Foreign]] = {
    "mem0": _mem0,
    "zep": _zep,
    "letta": _letta,
    "langmem": _langmem,
}


def origins() -> Iterator[str]:
    """The names of the memories whose exports can be read."""
    yield from _READERS
