"""What a person may ask for: everything that is kept of them, as one archive, and that it be erased, with proof.

An archive is a zip: `memory.jsonl` (every record, as `export` writes it), `runs.jsonl`, `adapters.jsonl`,
`audit.jsonl`, the files of the adapters that were taught it, and `manifest.json` with the SHA-256 of each.

A certificate is JSON. It says what was erased (ids and counts, never content), the SHA-256 of `memory.jsonl` as it was
before, and what was looked for afterwards: records, references, vectors, weights, and pieces of every erased text in
every file of the store. Whoever kept the archive can so prove what was erased, and nobody else can guess it. With a key
it carries an HMAC-SHA256 over the rest, as sorted JSON without spaces.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memory_agent import upkeep
from memory_agent.consolidation.residue import pieces_of, search
from memory_agent.distillation import registry, sealing
from memory_agent.encryption import Key, Sealer
from memory_agent.errors import InvalidInput
from memory_agent.exchange import lines
from memory_agent.protocols import Backend, Query
from memory_agent.records import STORED, Adapter, Block, Episode, Fact, ForgetReport, Item, Record, Run, Summary
from memory_agent.space import Space

FORMAT = "slowwave/erasure"
_README = """This is everything that is remembered of {user}.

memory.jsonl     every record, one JSON object a line: what was said, what was read in it, what is held to be true,
                 blocks, summaries, values that applications put. The first line has the schema.
                 `memory-agent import memory.jsonl` reads it into an empty memory.
runs.jsonl       what consolidations and distillations did; adapters.jsonl: weights that were trained on it
audit.jsonl      what was done to the memory, each line chained to the one before by its SHA-256
files/           the weights themselves and what lies beside them
manifest.json    the SHA-256 of each of these files
"""


class Archive(Record):
    """What an archive holds."""

    path: str
    records: int
    files: dict[str, str]
    """Name in the archive -> SHA-256, in hexadecimal."""
    encrypted: bool = False


class Residue(Record):
    """What was looked for in the files of a store, and where it was found."""

    pieces: int
    """How many pieces of erased texts were looked for; they stand nowhere in the certificate."""
    files: int
    bytes: int
    found: int = 0
    paths: tuple[str, ...] = ()


class Certificate(Record):
    """What was erased, and the proof."""

    format: str = FORMAT
    version: int = 1
    library: str
    tenant: str
    user: str
    target: str
    """What was asked to be erased: an id, `session:<name>` or `user:<name>`."""
    reason: str
    at: datetime
    before: dict[str, int]
    """How many records of each kind there were."""
    before_sha256: str
    """Of `memory.jsonl` as it was before."""
    after: dict[str, int]
    removed: dict[str, tuple[str, ...]]
    """Ids by kind."""
    redacted: tuple[str, ...]
    """Ids of turns that stay, with what was erased cut out."""
    adapters_off: tuple[str, ...]
    adapters_left: tuple[str, ...]
    """Adapters that still answer; none of them was taught what was erased."""
    standing: tuple[str, ...]
    referring: tuple[str, ...]
    indexed: tuple[str, ...]
    residue: Residue
    audit_head: str
    clean: bool
    """Nothing of it was found anywhere."""
    signature: str = ""
    """HMAC-SHA256 in hexadecimal; "" without a key."""


def export(space: Space, path: Path, key: Key | None = None) -> Archive:
    """Write everything of the user into a new archive at `path`, encrypted under `key` if one is given.

    Raises InvalidInput when the file is there already or cannot be written, or the key lies beside it; MissingExtra.
    """
    if key is not None:
        key.apart_from(path)
    digests: dict[str, str] = {}
    records = 0
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("xb"))
            target: Any = stack.enter_context(Sealer(raw, key)) if key is not None else raw
            archive = stack.enter_context(zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED))

            def put(name: str, data: bytes) -> None:
                archive.writestr(name, data)
                digests[name] = hashlib.sha256(data).hexdigest()

            for name, text in _texts(space):
                put(name, text.encode())
                records += text.count("\n") - (name == "memory.jsonl") if name.endswith(".jsonl") else 0
            for name, file in _files(space):
                put(name, file.read_bytes())
            about = {"user": space.user, "tenant": space.tenant, "at": space.clock.now().isoformat(), "sha256": digests}
            archive.writestr("manifest.json", json.dumps(about, indent=2, sort_keys=True))
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
    return Archive(path=str(path), records=records, files=digests, encrypted=key is not None)


def _files(space: Space) -> Iterator[tuple[str, Path]]:
    """The space's files and their names in the archive; weights in plain, as the archive has a key of its own.

    Raises InvalidInput and SealBroken when they are encrypted and cannot be opened.
    """
    for file in sorted(p for p in space.folder.rglob("*") if p.is_file() and not p.is_symlink()):
        name = file.relative_to(space.folder)
        if file.name == sealing.SEALED:
            plain = sealing.opened(file.parent, space.settings, registry.key_of(space))
            yield f"files/{name.with_name(sealing.WEIGHTS).as_posix()}", plain / sealing.WEIGHTS
        else:
            yield f"files/{name.as_posix()}", file


def _texts(space: Space) -> Iterator[tuple[str, str]]:
    yield "README.txt", _README.format(user=space.user)
    yield "memory.jsonl", "".join(lines.write(space))
    for name, kind in (("runs.jsonl", Run), ("adapters.jsonl", Adapter)):
        yield name, "".join(f"{record.model_dump_json()}\n" for record in space.ledger.select(kind))
    yield "audit.jsonl", "".join(f"{entry.model_dump_json()}\n" for entry in space.ledger.audit_chain())


def erase(backend: Backend, space: Space, target: str, *, reason: str, key: Key | None = None) -> Certificate:
    """Forget `target` everywhere, look whether anything of it is left, and certify what was found.

    Raises NotFound, InvalidInput and StoreBusy as `forget`; then nothing was erased.
    """
    before, digest = _counts(space), _digest(space)
    planned = upkeep.forget(backend, space, target, reason=reason, dry_run=True)
    texts = _doomed(space, planned)
    report = upkeep.forget(backend, space, target, reason=reason, dry_run=False)
    pieces = pieces_of(texts, kept=_kept(space))
    found = search(backend.folder, pieces)
    left = upkeep.verify(backend, space, target, ())
    residue = Residue(
        pieces=len(pieces), files=found.files, bytes=found.bytes, found=len(found.hits), paths=found.paths
    )
    chain = space.ledger.audit_chain()
    whole = Certificate(
        library=f"slowwave {version('slowwave')}",
        tenant=space.tenant,
        user=space.user,
        target=target,
        reason=reason,
        at=space.clock.now(),
        before=before,
        before_sha256=digest,
        after=_counts(space),
        removed={kind: tuple(ids) for kind, ids in report.forgotten.items()},
        redacted=report.redacted,
        adapters_off=report.adapters_off,
        adapters_left=tuple(a.id for a in registry.with_state(space.ledger, "promoted", "previous")),
        standing=left.standing,
        referring=left.referring,
        indexed=left.indexed,
        residue=residue,
        audit_head=chain[-1].digest if chain else "",
        clean=left.clean and not found.hits,
    )
    return whole.model_copy(update={"signature": _sign(whole, key)}) if key is not None else whole


def check(text: str, key: Key) -> Certificate:
    """The certificate in `text`, when its signature is of this key. Raises InvalidInput when it is not, or is none."""
    try:
        certificate = Certificate.model_validate_json(text)
    except ValueError as error:
        raise InvalidInput(f"this is no certificate of erasure: {error}") from error
    if not hmac.compare_digest(certificate.signature, _sign(certificate, key)):
        raise InvalidInput("the signature is not of this key, or the certificate was altered")
    return certificate


def _sign(certificate: Certificate, key: Key) -> str:
    told = certificate.model_dump(mode="json", exclude={"signature"})
    said = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key.secret, said.encode(), hashlib.sha256).hexdigest()


def _counts(space: Space) -> dict[str, int]:
    return {kind.kind: n for kind in STORED if (n := space.ledger.count(kind))}


def _digest(space: Space) -> str:
    whole = hashlib.sha256()
    for line in lines.write(space):
        whole.update(line.encode())
    return whole.hexdigest()


def _doomed(space: Space, planned: ForgetReport) -> list[str]:
    """The texts that are about to go: of turns, facts, blocks, summaries and values."""
    gone = {kind: list(ids) for kind, ids in planned.forgotten.items()}
    return [
        text
        for kind in (Episode, Fact, Block, Summary, Item)
        for record in (space.ledger.select(kind, Query(ids=gone[kind.kind])) if gone.get(kind.kind) else ())
        for text in _text(record)
    ]


def _kept(space: Space) -> Iterator[str]:
    """The texts that stand; what they say, too, is no residue."""
    for kind in (Episode, Fact, Block, Summary, Item):
        for record in space.ledger.select(kind):
            yield from _text(record)


def _text(record: Record) -> Sequence[str]:
    if isinstance(record, Episode):
        return [record.content]
    if isinstance(record, (Fact, Summary)):
        return [record.text]
    if isinstance(record, Block):
        return [record.value]
    return [*record.texts.values()] if isinstance(record, Item) else []
