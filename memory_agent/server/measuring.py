"""How the proxy bears many chats at once: what is lost, what is crossed, what memory costs, whether the loop is held.

Each chat is a user of its own who says words that nobody else says. What stands behind the proxy answers with the
words it was shown, so that one of somebody else's in a reply is seen at once; at the end every turn that was
acknowledged is looked for in its user's memory, and a word of somebody else's there too. Every other chat streams.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import re
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from memory_agent.fence import strip_fenced

WORD = re.compile(r"word-[a-z0-9]+-\d+-\d+")
DELAY = 0.05
"""Seconds that what stands behind the proxy takes for an answer."""
_LAG = "memory_agent_loop_lag_seconds"
_CPU = "process_cpu_seconds_total"
_QUESTIONS = ("I live in {w}.", "Where do I live?", "My sister likes {w}.", "What did I tell you about my sister?")


@dataclass
class Load:
    """What came of many chats."""

    chats: int
    turns: int = 0
    errors: list[str] = field(default_factory=list)
    lost: int = 0
    """Turns that were acknowledged and are not there, word for word but for recalled context."""
    crossed: int = 0
    """Replies and kept turns that hold a word of somebody else's."""
    proxied_ms: list[float] = field(default_factory=list)
    bare_ms: list[float] = field(default_factory=list)
    """The same message without memory, asked right after it: one for each of `proxied_ms`."""


async def load(
    url: str,
    keys: Mapping[str, str],
    *,
    chats: int,
    turns: int = 10**9,
    seconds: float = 10**9,
    pause: float = 0.0,
    bare: str | None = None,
) -> Load:
    """Let `chats` users talk through the proxy at `url`, each `turns` times or for `seconds`.

    Between two messages they think for half of `pause` to one and a half times as long. `keys` are by tenant; users
    are dealt out among them. With `bare`, the same is asked there as well, without memory. An error ends its chat.
    """
    from openai import AsyncOpenAI

    found = Load(chats)
    clients = {
        tenant: AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)
        for tenant, key in keys.items()
    }
    direct = AsyncOpenAI(base_url=bare, api_key="none", max_retries=0, timeout=120) if bare else None
    until = time.monotonic() + seconds
    tenants = list(keys)

    async def chat(n: int) -> None:
        tenant, thinking = tenants[n % len(tenants)], random.Random(n)
        await asyncio.sleep(pause * n / chats)
        own = f"word-{tenant}-{n}-"
        told: list[str] = []
        try:
            while len(told) < 2 * turns and time.monotonic() < until:
                text = f"{_QUESTIONS[len(told) // 2 % len(_QUESTIONS)]} ({own}{len(told)})".format(
                    w=f"{own}{len(told)}"
                )
                ms, reply = await _said(clients[tenant], text, n % 2 == 1, user=f"user-{n}")
                found.proxied_ms.append(ms)
                told += [text, reply]
                found.crossed += any(not word.startswith(own) for word in WORD.findall(reply))
                if direct is not None:
                    found.bare_ms.append((await _said(direct, text, n % 2 == 1))[0])
                await asyncio.sleep(pause * thinking.uniform(0.5, 1.5))
            kept = Counter(await _kept(clients[tenant], f"user-{n}"))
            found.lost += (Counter(strip_fenced(text)[0].strip() for text in told) - kept).total()
            found.crossed += sum(not word.startswith(own) for text in kept for word in WORD.findall(text))
        except Exception as error:  # noqa: BLE001 - every failure is a figure of the report
            found.errors.append(f"{type(error).__name__}: {error}"[:200])
        found.turns += len(told) // 2

    await asyncio.gather(*(chat(n) for n in range(chats)))
    for client in (*clients.values(), *([direct] if direct else [])):
        await client.close()
    return found


async def _said(client: Any, text: str, streams: bool, **more: Any) -> tuple[float, str]:
    """Milliseconds to the end of the answer to `text`, and the answer."""
    began = time.perf_counter()
    asked = {"model": "echo", "messages": [{"role": "user", "content": text}], **more}
    if not streams:
        reply = (await client.chat.completions.create(**asked)).choices[0].message.content or ""
    else:
        stream = await client.chat.completions.create(**asked, stream=True)
        reply = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    return (time.perf_counter() - began) * 1000, reply


async def _kept(client: Any, user: str) -> list[str]:
    """What every turn of a user says."""
    kept: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        options = {"query": {"limit": 500, **({"cursor": cursor} if cursor else {})}}
        page = await client.get(f"/spaces/{user}/turns", cast_to=object, options=options)
        kept += [turn["content"] for turn in page["items"]]
        cursor = page["next"]
    return kept


def run(*, chats: int, seconds: float, pause: float) -> dict[str, Any]:
    """Serve a new store with the default embedder, in a process of its own, under that load; the figures."""
    from memory_agent.memories import Memories
    from memory_agent.server import create_app

    with tempfile.TemporaryDirectory(prefix="memory-agent-") as folder:
        with Memories(folder) as memories:
            keys = create_app(memories).state.serving.keys
            made = {tenant: keys.create(tenant=tenant, role="admin")[0] for tenant in ("acme", "beta")}
        with _process(_echo) as echo, _process(_serve, folder, f"{echo}/v1") as url:
            _wait_until_ready(url)
            asyncio.run(load(url, made, chats=min(4, chats), turns=1))
            began, before = time.perf_counter(), _metrics(url).get(_CPU, 0.0)
            found = asyncio.run(load(url, made, chats=chats, seconds=seconds, pause=pause, bare=f"{echo}/v1"))
            spent, after = time.perf_counter() - began, _metrics(url)
    return {
        "chats": chats,
        "seconds": round(spent, 1),
        "pause_s": pause,
        "turns": found.turns,
        "errors": len(found.errors),
        "first_errors": found.errors[:5],
        "lost": found.lost,
        "crossed": found.crossed,
        "proxied_ms": _quantiles(found.proxied_ms),
        "bare_ms": _quantiles(found.bare_ms),
        "overhead_ms": _quantiles([a - b for a, b in zip(found.proxied_ms, found.bare_ms, strict=True)]),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "loop_lag_ms": {
            "max": round(after["memory_agent_loop_lag_max_seconds"] * 1000, 1),
            "over_50": after[f"{_LAG}_count"] - after[f'{_LAG}_bucket{{le="0.05"}}'],
            "beats": after[f"{_LAG}_count"],
        },
        "server_cpu_ms_per_turn": round((after.get(_CPU, 0.0) - before) * 1000 / max(found.turns, 1), 1),
    }


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {name: round(_quantile(values, share), 1) for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}


def _metrics(url: str) -> dict[str, float]:
    """The server's metrics, by name and labels."""
    import urllib.request

    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def _wait_until_ready(url: str) -> None:
    """Until the server's models are loaded, or a minute is over."""
    import urllib.error
    import urllib.request

    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}/health/ready"):
                return
        except urllib.error.HTTPError:
            time.sleep(0.1)


@contextmanager
def _process(target: Any, *arguments: Any) -> Iterator[str]:
    """A server in a process of its own; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=target, args=(port, *arguments), daemon=True)
    process.start()
    try:
        while process.is_alive():
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join(60)  # what waits to be embedded is embedded before it ends
        process.kill()
        process.join()


def _serve(port: int, folder: str, upstream: str) -> None:
    from memory_agent.config import Settings
    from memory_agent.memories import Memories
    from memory_agent.server.run import run
    from memory_agent.server.serving import Options

    settings = Settings.load(store=folder, base_url=upstream, model="local")
    with Memories(settings=settings) as memories:
        run(memories, "127.0.0.1", port, Options(requests_per_minute=0))


def _echo(port: int) -> None:
    """A server of OpenAI's kind that answers with the prompt it was shown, after `DELAY`."""
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(body: dict[str, Any]) -> Any:
        await asyncio.sleep(DELAY)
        pieces = ["I was told:", *(f" {word}" for word in WORD.findall(str(body["messages"])))]
        head = {"id": "c", "created": 1, "model": "echo"}

        def choice(**given: Any) -> dict[str, Any]:
            return {"choices": [{"index": 0, "finish_reason": "stop", **given}]}

        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(pieces)}
            return {**head, "object": "chat.completion", **choice(message=message)}
        chunks = ({**head, "object": "chat.completion.chunk", **choice(delta={"content": piece})} for piece in pieces)
        lines = [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]
        return StreamingResponse(iter(lines), media_type="text/event-stream")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
