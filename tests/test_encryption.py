"""What is encrypted comes back with its key, and with nothing else: not altered, not cut off, not in another order."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent import encryption
from memory_agent.encryption import Key, Sealer, Unsealer, is_sealed
from memory_agent.errors import InvalidInput, SealBroken

KEY = Key.of("correct horse battery staple")
CHUNK = encryption._CHUNK


@pytest.fixture(autouse=True, scope="module")
def cheap_keys() -> object:
    """scrypt at its least: what is tested here is not how dear guessing is."""
    before = dict(encryption._SCRYPT)
    encryption._SCRYPT["n"] = 2
    yield
    encryption._SCRYPT.update(before)


def sealed(data: bytes, key: Key = KEY) -> bytes:
    file = io.BytesIO()
    with Sealer(file, key) as stream:
        for start in range(0, len(data), 100_000):
            stream.write(data[start : start + 100_000])
    return file.getvalue()


def opened(data: bytes, key: Key = KEY) -> bytes:
    return Unsealer(io.BytesIO(data), key).read()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5])
def test_what_was_written_is_read(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    whole = sealed(data)
    assert is_sealed(io.BytesIO(whole))
    assert opened(whole) == data
    assert data[:100] not in whole or size < 2
    stream = Unsealer(io.BytesIO(whole), KEY)
    pieces = []
    while piece := stream.read(1000):
        pieces.append(piece)
    assert b"".join(pieces) == data


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBroken, match="not its key"):
        opened(sealed(b"secret"), Key.of("correct horse battery stapler"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_altered_byte_passes(data: st.DataObject) -> None:
    whole = bytearray(sealed(b"x" * (CHUNK + 10)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        opened(bytes(whole))


def test_no_chunk_can_be_cut_off_repeated_or_moved() -> None:
    whole = sealed(b"a" * CHUNK + b"b" * CHUNK + b"c" * CHUNK)
    start = len(whole) - 3 * (CHUNK + 16)
    header, chunks = whole[:start], [whole[start + n * (CHUNK + 16) :][: CHUNK + 16] for n in range(3)]
    for order in ([0, 1], [1, 0, 2], [0, 1, 1, 2], [0, 2], [0, 1, 2, 2], []):
        with pytest.raises(SealBroken):
            opened(header + b"".join(chunks[n] for n in order))


def test_a_stream_that_broke_off_does_not_look_whole() -> None:
    file = io.BytesIO()
    stream = Sealer(file, KEY)
    stream.write(b"half of it")
    stream.__exit__(ZeroDivisionError)
    with pytest.raises(SealBroken):
        opened(file.getvalue())


def test_a_header_may_not_ask_for_more_work_than_we_ever_do() -> None:
    whole = sealed(b"x").replace(b'"n": 2', b'"n": 1073741824')
    with pytest.raises(SealBroken):
        opened(whole)


def test_keys_are_refused_that_are_short_open_to_others_or_beside_what_they_encrypt(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="shorter"):
        Key.of("hunter2")
    file = tmp_path / "key"
    with pytest.raises(InvalidInput, match="no key can be read"):
        Key.from_file(file)
    file.write_text("correct horse battery staple\n")
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        Key.from_file(file)
    file.chmod(0o600)
    key = Key.from_file(file)
    assert "horse" not in repr(key)
    assert opened(sealed(b"x"), key) == b"x"
    with pytest.raises(InvalidInput, match="beside"):
        key.apart_from(tmp_path / "backup")
    key.apart_from(tmp_path / "elsewhere" / "backup")
