"""What the routes of one application share, and who may call them.

A request's tenant is its key's. Nothing in a path, a query or a body can name another one; the user
within the tenant is in the path, or in the `user` field of an OpenAI request.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from memory_agent.errors import MemoryAgentError
from memory_agent.memories import Memories
from memory_agent.memory import Memory
from memory_agent.server.database import Database
from memory_agent.server.keys import Keys, Principal, Role
from memory_agent.server.paths import user_of
from memory_agent.server.problems import Refusal

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_log = logging.getLogger(__name__)
OPEN = "open"
"""The id of who asks where no keys are asked for."""
OWN = "own"
"""The id of who asks with the process's own key."""
NOBODY = ""
"""The key of a space that no user can have."""
_BUCKETS = 10_000


@dataclass(frozen=True)
class Options:
    """How to serve. `keyless` lets everybody in as an admin of the settings' tenant; only for loopback."""

    keyless: bool = False
    own_key: str = ""
    """A key of this process alone, kept in no store: whoever has it is an admin of the settings' tenant."""
    requests_per_minute: int = 1200
    """Of one key; 0 for no limit. Refused keys count against their address, at a tenth of it."""
    most_bytes: int = 4 * 1024 * 1024
    """Of one request's body."""
    most_import_bytes: int = 256 * 1024 * 1024
    """Of an export that an admin reads in."""
    model: BaseChatModel | None = None
    """The chat model behind the proxy, in place of the settings'."""
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "::1", "testserver")
    """Names a keyless server answers to, so that a page in a browser cannot reach it under another (DNS rebinding)."""


class Limiter:
    """Token buckets: `per_minute` requests on the average, as many at once."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, who: str, now: float | None = None) -> float:
        """Take one; 0 when there was one, else the seconds until there is."""
        if not self.per_minute:
            return 0.0
        now = time.monotonic() if now is None else now
        rate = self.per_minute / 60
        with self._lock:
            left, then = self._buckets.pop(who, (float(self.per_minute), now))
            left = min(self.per_minute, left + (now - then) * rate)
            short = left < 1
            self._buckets[who] = (left if short else left - 1, now)
            while len(self._buckets) > _BUCKETS:
                self._buckets.popitem(last=False)
        return (1 - left) / rate if short else 0.0


@dataclass
class Serving:
    """The state of one application, at `app.state.serving`."""

    memories: Memories
    options: Options
    database: Database
    keys: Keys
    limiter: Limiter
    refusals: Limiter
    warm: bool = True
    """False while the models are being loaded."""
    settle: Callable[[], None] = field(default=lambda: None)
    """Called when they are."""
    closed: bool = field(default=False)

    @classmethod
    def over(cls, memories: Memories, options: Options) -> Serving:
        """The state over the memories of one store; its keys lie in the store's folder."""
        database = Database(memories.backend.folder)
        limit = options.requests_per_minute
        return cls(memories, options, database, Keys(database), Limiter(limit), Limiter(-(-limit // 10)))

    def warm_up(self) -> None:
        """Load what the first chat would wait for: embedder, tokenizer, index. What is missing is told by the log."""
        from memory_agent.answering import token_counter

        try:
            self.memories.embedder.embed_query("warm")
            token_counter(self.memories.settings)("warm")
            # A new index is made here: Chroma holds every thread, the event loop's with them, until it is on disk.
            self.memories.backend.index.space(NOBODY).clear()
        except MemoryAgentError as error:
            _log.warning("not all models could be loaded: %s", error)
        finally:
            self.settle()
            self.warm = True

    def close(self) -> None:
        """Let go of everything; a second time does nothing."""
        if not self.closed:
            self.closed = True
            self.database.close()
            self.memories.close()


def serving_of(request: Request) -> Serving:
    """The application's state."""
    found = request.app.state.serving
    assert isinstance(found, Serving)
    return found


ServingDep = Annotated[Serving, Depends(serving_of)]
_bearer = HTTPBearer(auto_error=False, scheme_name="API key", description="`Authorization: Bearer sw_...`")


async def authenticate(request: Request) -> Principal:
    """Who sent the request, counted against the rate limit; once a request. Raises Refusal (401, 403 or 429)."""
    if (known := getattr(request.state, "principal", None)) is not None:
        assert isinstance(known, Principal)
        return known
    serving = serving_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    principal: Principal | None
    own = serving.options.own_key
    if own and scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), own.encode()):
        principal = Principal(OWN, serving.memories.settings.tenant, "admin")
    elif token and scheme.lower() == "bearer" and not serving.options.keyless:
        principal = await anyio.to_thread.run_sync(serving.keys.check, token.strip())
    else:
        principal = _anybody(request, serving)
    if principal is None:
        address = request.client.host if request.client else ""
        _limit(serving.refusals, address)
        raise Refusal(401, "send an API key: Authorization: Bearer sw_...", {"WWW-Authenticate": "Bearer"})
    _limit(serving.limiter, principal.key)
    request.state.principal = principal
    return principal


def _anybody(request: Request, serving: Serving) -> Principal | None:
    """Whoever asks a keyless server, as long as it was addressed by a name of this machine, and from no other site."""
    if not serving.options.keyless:
        return None
    origin = request.headers.get("origin")
    names = [request.url.hostname or "", *([_host_of(origin)] if origin else [])]
    if any(name not in serving.options.hosts for name in names):
        raise Refusal(403, "a server without keys answers only to this machine's own name; make keys to be reached")
    return Principal(OPEN, serving.memories.settings.tenant, "admin")


def _host_of(origin: str) -> str:
    from urllib.parse import urlsplit

    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _limit(limiter: Limiter, who: str) -> None:
    if wait := limiter.wait(who):
        raise Refusal(429, "too many requests; slow down", {"Retry-After": str(int(wait) + 1)})


def needs(role: Role) -> Callable[..., Awaitable[Principal]]:
    """A dependency: whoever sent the request, if that one may do what `role` may. Raises Refusal."""

    async def check(request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Principal:
        principal = await authenticate(request)
        if not principal.may(role):
            raise Refusal(403, f"this key is a {principal.role}'s; this needs a {role}'s")
        return principal

    return check


Reader = Annotated[Principal, Depends(needs("reader"))]
Writer = Annotated[Principal, Depends(needs("writer"))]
Admin = Annotated[Principal, Depends(needs("admin"))]
User = Annotated[
    str,
    Path(
        min_length=1, max_length=200, description="Whose memory, within the key's tenant; a slash in the name as %2F."
    ),
]


def _memory(principal: Principal, serving: Serving, user: str) -> Memory:
    return serving.memories.of(user_of(user), tenant=principal.tenant)


def readers_memory(principal: Reader, serving: ServingDep, user: User) -> Memory:
    """The memory of the path's user in the key's tenant, for one who may read."""
    return _memory(principal, serving, user)


def writers_memory(principal: Writer, serving: ServingDep, user: User) -> Memory:
    """As `readers_memory`, for one who may write."""
    return _memory(principal, serving, user)


def admins_memory(principal: Admin, serving: ServingDep, user: User) -> Memory:
    """As `readers_memory`, for an admin."""
    return _memory(principal, serving, user)


ReadMemory = Annotated[Memory, Depends(readers_memory)]
WriteMemory = Annotated[Memory, Depends(writers_memory)]
AdminMemory = Annotated[Memory, Depends(admins_memory)]


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
