"""Made-up sentences that hold one secret or personal number, or only look as if they did; none is anybody's."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Mapping
from typing import Any

EACH = 40
"""Sentences of each class, and ten times as many that hold nothing."""
_SLOT = re.compile(r"\{(\w+?)(\d*)\}")
_WORDS = ("maple", "orbit", "velvet", "cinder", "harbor", "pixel", "lumen", "cobalt", "saffron", "tundra")
_PLACES = ("Porto", "Ghent", "Lyon", "Turin", "Bergen")
_NAMES = ("Ana", "Bo", "Cleo", "Dan", "Eva")
_PHONES = ("+351 912 {n3} {n3}", "+44 7911 1{n5}", "+49 170 1{n6}", "+33 6 12 {n2} {n2} {n2}")


def labelled(data: Mapping[str, Any], chance: random.Random) -> list[tuple[str, str]]:
    """(sentence, class), the class "" where there is none."""
    made = [
        (_filled(chance.choice(forms), chance), label) for label, forms in data["secrets"].items() for _ in range(EACH)
    ]
    made += [(_filled(chance.choice(data["ordinary"]), chance), "") for _ in range(10 * EACH)]
    return made


def _filled(form: str, chance: random.Random) -> str:
    def fill(slot: re.Match[str]) -> str:
        name, size = slot[1], int(slot[2] or 0)
        if name in _OWN:
            return _OWN[name](chance)
        if name == "word":
            return chance.choice(_WORDS)
        letters = {
            "n": string.digits, "a": string.ascii_letters + string.digits, "A": string.ascii_uppercase + string.digits,
            "b": string.ascii_letters + string.digits, "hex": "0123456789abcdef",
        }[name]  # fmt: skip
        return "".join(chance.choice(letters) for _ in range(size or 4))

    return _SLOT.sub(fill, form)


def _card(chance: random.Random) -> str:
    body = [4, *(chance.randrange(10) for _ in range(14))]
    total = sum(d if n % 2 else (d * 2 - 9 if d > 4 else d * 2) for n, d in enumerate(body))
    text = "".join(map(str, [*body, -total % 10]))
    return " ".join(text[n : n + 4] for n in range(0, 16, 4)) if chance.random() < 0.7 else text


def _iban(chance: random.Random) -> str:
    account = f"{chance.randrange(10**18):018d}"
    left = 98 - int(account + "131400") % 97
    text = f"DE{left:02d}{account}"
    return " ".join(text[n : n + 4] for n in range(0, len(text), 4))


def _nif(chance: random.Random) -> str:
    number = chance.randrange(10**8)
    return f"{number:08d}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def _cpf(chance: random.Random) -> str:
    digits = [chance.randrange(10) for _ in range(9)]
    for size in (10, 11):
        left = sum(d * w for d, w in zip(digits, range(size, 1, -1), strict=True)) % 11
        digits.append(0 if left < 2 else 11 - left)
    text = "".join(map(str, digits))
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def _pesel(chance: random.Random) -> str:
    body = f"{chance.randrange(50, 99)}{chance.randrange(1, 13):02d}{chance.randrange(1, 29):02d}"
    body += f"{chance.randrange(10**4):04d}"
    check = sum(int(d) * w for d, w in zip(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=True))
    return f"{body}{-check % 10}"


_OWN: Mapping[str, Callable[[random.Random], str]] = {
    "card": _card,
    "iban": _iban,
    "nif": _nif,
    "cpf": _cpf,
    "pesel": _pesel,
    "ssn": lambda chance: f"{chance.randrange(100, 660)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}",
    "phone": lambda chance: _filled(chance.choice(_PHONES), chance),
    "usphone": lambda chance: f"(212) {chance.randrange(200, 999)}-{chance.randrange(10**4):04d}",
    "y": lambda chance: str(chance.randrange(1990, 2026)),
    "Place": lambda chance: chance.choice(_PLACES),
    "Name": lambda chance: chance.choice(_NAMES),
}
