"""Detectors of others for secrets and personal numbers: detect-secrets, phonenumbers, python-stdnum (extra `detect`).

Each counts only what it can tell by more than its looks: keys by their issuer's form, telephone numbers by
the plan of their country, national numbers by their check digits. Without the extra nothing is found here.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

KEY_PLUGINS = (
    "aws.AWSKeyDetector", "azure_storage_key.AzureStorageKeyDetector", "discord.DiscordBotTokenDetector",
    "github_token.GitHubTokenDetector", "gitlab_token.GitLabTokenDetector", "jwt.JwtTokenDetector",
    "mailchimp.MailchimpDetector", "npm.NpmDetector", "openai.OpenAIDetector", "pypi_token.PypiTokenDetector",
    "sendgrid.SendGridDetector", "slack.SlackDetector", "square_oauth.SquareOAuthDetector", "stripe.StripeDetector",
    "telegram_token.TelegramBotTokenDetector", "twilio.TwilioKeyDetector",
)  # fmt: skip
"""Of detect-secrets those that know one issuer's form; those that judge by entropy or by a name are for code."""
NATIONAL = {
    "es.nif": r"\b[XYZ]?\d{7,8}-?[A-Z]\b",
    "it.codicefiscale": r"\b[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]\b",
    "br.cpf": r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b",
    "fr.nir": r"\b[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2}\b",
    "gb.nhs": r"\b\d{3} \d{3} \d{4}\b",
    "in_.aadhaar": r"\b\d{4} \d{4} \d{4}\b",
    "se.personnummer": r"\b\d{6}[-+]\d{4}\b",
    "pl.pesel": r"\b\d{11}\b",
    "us.ssn": r"\b\d{3}-\d{2}-\d{4}\b",
}
"""Module of python-stdnum -> the form in which people write the number; its own check decides."""
REGIONS = ("US", "GB", "DE", "FR", "ES", "PT", "IT", "NL", "BR", "IN")
"""Countries whose national telephone numbers are looked for, where the words before say that one comes."""
_DIGIT = re.compile(r"\d")
_LEAST_KEY = 16
"""Characters that every issuer's keys have without a space between them; of shorter words none is looked at."""
_CUE = re.compile(r"(?:call|phone|mobile|cell|tel|number|whatsapp|text|ring|reach)\W", re.IGNORECASE)
_CUE_REACH = 40
"""Characters before a number within which such a word may stand."""


def find(text: str) -> Iterator[tuple[str, int, int]]:
    """Findings as (flag, start, end), in no particular order; none without the extra."""
    yield from _keys(text)
    if _DIGIT.search(text):
        yield from _phones(text)
        yield from _national(text)


def available() -> tuple[str, ...]:
    """Which of the libraries are installed."""
    return tuple(name for name in ("detect_secrets", "phonenumbers", "stdnum") if _module(name) is not None)


@cache
def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


@cache
def _plugins() -> list[Any]:
    if _module("detect_secrets") is None:
        return []
    found = []
    for path in KEY_PLUGINS:
        module, _, name = path.partition(".")
        found.append(getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)())
    return found


def _keys(text: str) -> Iterator[tuple[str, int, int]]:
    if max(map(len, text.split()), default=0) < _LEAST_KEY:
        return
    for plugin in _plugins():
        for secret in plugin.analyze_string(text):
            at = text.find(secret)
            if secret and at >= 0:
                yield "secret:api_key", at, at + len(secret)


def _phones(text: str) -> Iterator[tuple[str, int, int]]:
    library = _module("phonenumbers")
    if library is None:
        return
    regions = (None, *REGIONS) if _CUE.search(text) else (None,)
    for region in regions:
        for match in library.PhoneNumberMatcher(text, region):
            before = text[max(0, match.start - _CUE_REACH) : match.start]
            if region is None or _CUE.search(f"{before} "):
                yield "personal:phone", match.start, match.end


def _national(text: str) -> Iterator[tuple[str, int, int]]:
    if _module("stdnum") is None:
        return
    for name, form in NATIONAL.items():
        for match in re.finditer(form, text):
            if importlib.import_module(f"stdnum.{name}").is_valid(match[0]):
                yield "secret:national_id", match.start(), match.end()
