"""API keys: each is bound to one tenant and one role, shown once, and kept as a salted hash.

A key reads `sw_<id>_<secret>`; the secret has 256 random bits, so one round of SHA-256 with a salt is
enough (there is nothing to guess from). It is compared in constant time, and a key of an unknown id is
compared as well, so that the time tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from memory_agent.errors import InvalidInput, NotFound
from memory_agent.server.database import Database
from memory_agent.space import space_key

Role = Literal["reader", "writer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""
_PREFIX = "sw"
_NOBODY = (b"\0" * 16, b"\0" * 32)


@dataclass(frozen=True)
class Principal:
    """Who asks: the key's id, its tenant and its role."""

    key: str
    tenant: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this one's role is `role` or more."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class KeyRecord:
    """What is kept of a key; never the key."""

    id: str
    tenant: str
    role: Role
    name: str
    created_at: str
    revoked_at: str | None = None


class Keys:
    """The API keys of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, *, tenant: str, role: str, name: str = "") -> tuple[str, KeyRecord]:
        """A new key, which is to be shown now and never again, and its record. Raises InvalidInput."""
        space_key(tenant, "anybody")
        if role not in ROLES:
            raise InvalidInput(f"role {role!r}: say one of {', '.join(ROLES)}")
        id, secret, salt = secrets.token_hex(6), secrets.token_hex(32), secrets.token_bytes(16)
        record = KeyRecord(id, tenant, role, name, datetime.now(UTC).isoformat("T", "seconds"))
        with self._database.lent() as db:
            db.execute(
                "INSERT INTO key VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (id, tenant, role, name, salt, _digest(salt, secret), record.created_at),
            )
        return f"{_PREFIX}_{id}_{secret}", record

    def every(self) -> list[KeyRecord]:
        """Every key there ever was, oldest first."""
        with self._database.lent() as db:
            rows = db.execute(
                "SELECT id, tenant, role, name, created_at, revoked_at FROM key ORDER BY rowid"
            ).fetchall()
        return [KeyRecord(*row) for row in rows]

    def standing(self) -> bool:
        """Whether there is a key that was not revoked."""
        with self._database.lent() as db:
            return db.execute("SELECT 1 FROM key WHERE revoked_at IS NULL").fetchone() is not None

    def revoke(self, id: str) -> KeyRecord:
        """Let a key open nothing from now on. Raises NotFound."""
        with self._database.lent() as db:
            now = datetime.now(UTC).isoformat("T", "seconds")
            db.execute("UPDATE key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, id))
        found = next((record for record in self.every() if record.id == id), None)
        if found is None:
            raise NotFound(f"no key {id!r}; `memory-agent key list` shows them")
        return found

    def check(self, key: str) -> Principal | None:
        """Who a key belongs to; None when it opens nothing."""
        prefix, _, rest = key.partition("_")
        id, _, secret = rest.partition("_")
        with self._database.lent() as db:
            row = db.execute("SELECT tenant, role, salt, digest, revoked_at FROM key WHERE id = ?", (id,)).fetchone()
        salt, digest = (row[2], row[3]) if row else _NOBODY
        right = hmac.compare_digest(_digest(salt, secret), digest)
        if not right or row is None or row[4] is not None or prefix != _PREFIX:
            return None
        return Principal(id, row[0], row[1])


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode("utf-8", "surrogatepass")).digest()
