"""Corrections by the user: what was stored is wrong, and this is right.

A corrected fact rests on an episode of its own (session "edits"), so that it has a source like any
other; the claims it replaces are withdrawn, each leaving a Rejection "corrected". A corrected turn
loses what was read in it and is pending again.
"""

from __future__ import annotations

from memory_agent.consolidation.derive import rederive
from memory_agent.consolidation.job import JOB
from memory_agent.consolidation.resolve import Resolver
from memory_agent.episodic.screening import screen
from memory_agent.episodic.taking import digest
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query, Transaction
from memory_agent.records import Claim, Episode, Fact, PartialDate, Rejection
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.folding import key
from memory_agent.semantic.lineage import claims_of
from memory_agent.semantic.ontology import load
from memory_agent.space import Space

SESSION = "edits"
"""The session that a user's corrections stand in."""
EXTRACTOR = "user"
"""What a claim made by a correction names as its extractor."""


def update(
    space: Space,
    id: str,
    *,
    object: str | None = None,
    valid_from: str | None = None,
    valid_to: str | None = None,
    content: str | None = None,
) -> Fact | Episode:
    """Correct the turn of that id by `content`, or the fact by what else is given; the record as it now is.

    Raises NotFound; InvalidInput when nothing is given, when both are, or a date is none.
    """
    of_a_fact = any(value is not None for value in (object, valid_from, valid_to))
    if of_a_fact == (content is not None):
        raise InvalidInput("give content to correct a turn; object, valid_from or valid_to to correct a fact")
    if content is not None:
        return correct_episode(space, id, content)
    try:
        start, end = (PartialDate(date) if date else None for date in (valid_from, valid_to))
    except ValueError as error:
        raise InvalidInput(f"a date is 2024, 2024-03 or 2024-03-14: {error}") from error
    return correct_fact(space, id, object=object, valid_from=start, valid_to=end)


def correct_fact(
    space: Space,
    id: str,
    *,
    object: str | None = None,
    valid_from: PartialDate | None = None,
    valid_to: PartialDate | None = None,
) -> Fact:
    """Put another object or other dates in the place of a current fact's; what is left out stays.

    Returns the fact that holds now. Adapters taught the old one are switched off in the same
    transaction. Raises NotFound, InvalidInput when nothing would change, and StoreBusy while a
    consolidation holds on for longer than `settings.lock_wait` seconds.
    """
    wait, ontology, now = space.settings.lock_wait, load(), space.clock.now()
    with space.ledger.lock(JOB, wait=wait), space.ledger.transaction(wait=wait) as tx:
        found = tx.select(Fact, Query(ids=[id], where={"retired_at": None}))
        if not found:
            raise NotFound(f"no current fact {id!r}")
        old = found[0]
        given = {"object": object, "valid_from": valid_from, "valid_to": valid_to}
        changes = {name: value for name, value in given.items() if value and value != getattr(old, name)}
        if not changes:
            raise InvalidInput(f"fact {id!r} says that already: give another object, valid_from or valid_to")
        directory = Directory.of(tx)
        withdrawn = claims_of(tx, [old], directory, ontology)
        new = old.model_copy(update=changes)
        episode = _episode(space, new, ontology.statement(
            new.subject, new.predicate, new.object,
            polarity=new.polarity, modality=new.modality, valid_from=new.valid_from, valid_to=new.valid_to,
        ))  # fmt: skip
        resolver = Resolver(directory.entities.values())
        resolver.begin(tx)
        object_id = old.object_id
        if object_id and new.object != old.object:
            object_id = resolver.resolve(new.object, directory.entities[object_id].type, episode)
        claim = _claim(new, object_id, episode)
        refused = [withdrawal(c, "corrected") for c in withdrawn]
        tx.delete(Claim, [c.id for c in withdrawn])
        tx.put(episode, claim, *refused, *resolver.written.values())
        touched = {c.subject_id for c in (claim, *withdrawn)} | {
            c.object_id for c in (claim, *withdrawn) if c.object_id
        }
        rederive(tx, touched, Directory(resolver.entities), ontology, now)
        tx.audit("update", [id, episode.id])
        return _resting_on(tx, episode)


def correct_episode(space: Space, id: str, content: str) -> Episode:
    """Replace what a turn says. What was read in it falls, and it is read again by the next consolidation.

    Raises NotFound, InvalidInput when the new text is empty, and StoreBusy as `correct_fact`.
    """
    if not content.strip():
        raise InvalidInput(f"turn {id!r}: the new content is empty; to remove it, forget it")
    wait, ontology, now = space.settings.lock_wait, load(), space.clock.now()
    with space.ledger.lock(JOB, wait=wait), space.ledger.transaction(wait=wait) as tx:
        found = tx.select(Episode, Query(ids=[id]))
        if not found:
            raise NotFound(f"no turn {id!r}")
        old = found[0]
        new = old.model_copy(
            update={
                "content": content,
                "digest": digest(old.session, old.speaker, old.at, content),
                "flags": screen(content),
                "run": None,
            }
        )
        claims = tx.select(Claim, Query(where={"episode_id": id}))
        tx.delete(Claim, [c.id for c in claims])
        tx.delete(Rejection, [r.id for r in tx.select(Rejection, Query(where={"episode_id": id}))])
        tx.put(new)
        touched = {c.subject_id for c in claims} | {c.object_id for c in claims if c.object_id}
        rederive(tx, touched, Directory.of(tx), ontology, now)
        tx.audit("update", [id])
        return new


def _episode(space: Space, fact: Fact, statement: str) -> Episode:
    now = space.clock.now()
    mark = digest(SESSION, space.user, now, statement)
    return Episode(
        id=f"edit_{key(fact.id, mark)}",
        session=SESSION,
        role="user",
        speaker=space.user,
        content=statement,
        at=now,
        recorded_at=now,
        digest=mark,
        flags=screen(statement),
        metadata={"confirmed": True},
        run="edit",
    )


def _claim(fact: Fact, object_id: str | None, episode: Episode) -> Claim:
    return Claim(
        id=f"claim_{key(episode.id, fact.predicate, fact.object)}",
        episode_id=episode.id,
        start=0,
        end=len(episode.content),
        quote=episode.content,
        speaker=episode.speaker,
        said_at=episode.at,
        subject=fact.subject,
        subject_id=fact.subject_id,
        predicate=fact.predicate,
        object=fact.object,
        object_id=object_id,
        polarity=fact.polarity,
        modality=fact.modality,
        valid_from=fact.valid_from,
        valid_to=fact.valid_to,
        owners_word=True,
        extractor=EXTRACTOR,
        run="edit",
    )


def withdrawal(claim: Claim, reason: str) -> Rejection:
    """What is left of a claim that a person withdrew, and why."""
    proposed = f"{claim.subject} | {claim.polarity}{claim.predicate} | {claim.object}"
    id = f"rej_{key(claim.episode_id, str(claim.start), proposed)}"
    return Rejection(id=id, episode_id=claim.episode_id, reason=reason, proposed=proposed, run=claim.run)


def _resting_on(tx: Transaction, episode: Episode) -> Fact:
    """The current fact whose sources include the correction."""
    for fact in tx.select(Fact, Query(where={"retired_at": None})):
        if any(source.episode_id == episode.id for source in fact.sources):
            return fact
    raise InvalidInput("the correction contradicts what others said and does not stand; forget that first")
