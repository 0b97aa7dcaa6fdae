"""Every door takes any bytes: it reads them, or refuses with a typed error. Long form: `fuzz.py` beside this."""

from __future__ import annotations

import json
import random

import pytest
from doors import DOORS, SEEDS, knock
from hypothesis import given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["role", "content", "messages", "results", "memory", "id", "at", "timestamp", "nodes", "edges",
                         "items", "value", "key", "conversation", "kind", "metadata", "passages", "namespace"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def bent(seed: bytes, chance: random.Random) -> bytes:
    """A seed with a few of its bytes changed, left out, doubled or put elsewhere."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif what == 1:
            del data[at : at + chance.randrange(8)]
        elif what == 2:
            data[at:at] = data[at : at + chance.randrange(20)]
        else:
            data[at:at] = chance.choice([b"null", b"1e999", b"[]", b"{}", b'"', b"-1", b"\x00", b"9" * 20])
    return bytes(data)


@pytest.mark.parametrize("name", sorted(DOORS))
def test_a_door_takes_its_seed_and_any_bend_of_it(name: str) -> None:
    chance = random.Random(7)
    for seed in SEEDS[name]:
        knock(name, seed)
        for _ in range(60):
            knock(name, bent(seed, chance))


@settings(max_examples=60)
@given(st.sampled_from(sorted(DOORS)), st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_door_takes_any_bytes(name: str, data: bytes) -> None:
    knock(name, data)


@pytest.mark.parametrize("name", sorted(DOORS))
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"messages":' * 5_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b'[{"role":"user","content":"x","timestamp":1e308}]',
        b'{"results":[{"id":1,"memory":"x","created_at":1e300}]}',
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><graphml>&b;</graphml>',
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><graphml>&a;</graphml>',
        b"id,name\n" + b"x" * 200_000,
        b"\xff\xfe" * 100,
        b"\x00" * 1000,
    ],
    ids=[
        "deep list",
        "deep objects",
        "huge number",
        "far future",
        "no time",
        "entities",
        "file",
        "long",
        "utf-16",
        "nul",
    ],
)
def test_a_door_takes_what_is_made_to_break_it(name: str, data: bytes) -> None:
    knock(name, data)
