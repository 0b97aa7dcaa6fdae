"""Scoring extracted facts against labelled turns.

A gold file holds one JSON object a line: `id`, `speaker`, `addressee`, `at`, `context` (the turns just
before), `text`, `facts` (subject, predicate, object, and maybe polarity, modality, valid_from, valid_to,
optional, alt, alt_subject) and `not_facts` (tempting mistakes). Predictions and gold facts of a turn are
paired one to one, for the greatest total agreement; what agrees is data (`matching.json`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Any

import networkx as nx

from memory_agent.errors import InvalidInput
from memory_agent.protocols import Extractor, Proposal
from memory_agent.records import Episode, PartialDate

Labels = Mapping[str, Any]
_NAMED = re.compile(r"(?:[Mm]y|[Oo]ur|[Hh]is|[Hh]er|[Tt]heir|\w+['’]s)\s+(?:[a-z][\w-]*\s+)+(?P<name>[A-Z].*)$")
_PREPOSITION = re.compile(r"\b(?:of|in|at|for|with|from|on|to|about|by|into|near|that|who)\b")


@lru_cache(maxsize=1)
def _rules() -> dict[str, Any]:
    return json.loads(files(__package__).joinpath("matching.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _plain(text: str) -> str:
    """Without case, accents and possessive endings."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.strip().casefold()) if not unicodedata.combining(c))
    return re.sub(r"['’]s\b", "", bare)


def _tokens(text: str) -> list[str]:
    """Content words in the singular, small numbers as digits; CJK characters one by one."""
    numbers = {word: str(i) for i, word in enumerate(_rules()["numbers"])}
    found = [numbers.get(w, w) for w in re.findall(r"[㐀-鿿]|[^\W_]+", _plain(text))]
    found = [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in found]
    return [w for w in found if w not in _rules()["small"]] or found


def _head(text: str) -> str | None:
    words = _tokens(_PREPOSITION.split(_plain(text))[0])
    return words[-1] if words else None


def _names(text: str) -> set[str]:
    """Words written as names; the capital that merely opens a phrase makes none."""
    words = re.findall(r"[^\W\d_]+", text)
    capital = [w for i, w in enumerate(words) if w[0].isupper() and (i > 0 or len(words) == 1 or words[1][0].isupper())]
    return {t for w in capital for t in _tokens(w)} & set(_tokens(text))


def same_object(gold: str, found: str) -> bool:
    """Token F1 of a half, or a shared head when one is short; numbers or names that differ never match."""
    a, b = _tokens(gold), _tokens(found)
    numbers_a, numbers_b = ({t for t in words if t.isdigit()} for words in (a, b))
    for mine, theirs in ((numbers_a, numbers_b), (_names(gold), _names(found))):
        if mine - set(b) and theirs - set(a):
            return False
    shared = sum((Counter(a) & Counter(b)).values())
    if 2 * shared >= 0.5 * (len(a) + len(b)) and shared:
        return True
    return min(len(a), len(b)) <= 2 and (_head(gold) in b or _head(found) in a)


def same_date(gold: str | None, found: str | None) -> bool:
    """Whether `found` says at least what `gold` says: the year, month, ISO week or day."""
    if not gold or not found:
        return False
    if found.startswith(gold):
        return True
    if "W" in gold and re.fullmatch(r"\d{4}-\d\d-\d\d.*", found):
        return str(PartialDate.at(datetime.fromisoformat(found[:10]), "week")) == gold
    return False


@dataclass(frozen=True)
class Agreement:
    """How a prediction reads as a gold fact: 2 the predicate itself, 1 near, 0 by `attribute`."""

    level: int
    polarity: bool


class Turn:
    """One labelled turn, and how names are read in it."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.speaker: str = labels["speaker"]

    def entity(self, text: str) -> str:
        """A name in comparable form: "I" is the speaker, "my sister Ana" is Ana, "my boss" "Maya's boss"."""
        text = text.strip()
        if _plain(text) in ("i", "me", "self", "user", "the user", "speaker", "the speaker"):
            text = self.speaker
        elif _plain(text) == "you":
            text = self.labels.get("addressee") or text
        if named := _NAMED.match(text):
            text = named["name"]
        else:
            text = re.sub(rf"^{re.escape(self.speaker)}['’]s\s+(?=\S)", "", text)
        return " ".join(_tokens(text))

    def agreement(self, gold: Labels, found: Labels) -> Agreement | None:
        """The best reading of a prediction as a gold fact, in its own direction or turned round."""
        readings = [(found["subject"], found["predicate"], found["object"], found.get("polarity") or "+")]
        if turned := _inverse(found["predicate"]):
            sign, bare = _signed(found)
            readings.append((bare, turned, found["subject"], sign))
        levels = [a for reading in readings if (a := self._reads(gold, found, reading))]
        return max(levels, key=lambda a: (a.level, a.polarity), default=None)

    def _reads(self, gold: Labels, found: Labels, reading: tuple[str, str, str, str]) -> Agreement | None:
        subject, predicate, obj, sign = reading
        sign, obj = _signed({"object": obj, "polarity": sign})
        gold_sign, gold_object = _signed(gold)
        linked = _linked(gold["predicate"], predicate, gold_sign, sign)
        if linked is None:
            return None
        if self.entity(subject) not in {self.entity(s) for s in (gold["subject"], *gold.get("alt_subject", ()))}:
            return None
        if _plain(obj) in ("i", "me", "user", "the user", "speaker", "the speaker", "self"):
            obj = self.speaker
        if not any(same_object(wanted, obj) for wanted in (gold_object, *gold.get("alt", ()))):
            return None
        until = found.get("valid_to")
        ended = gold_sign == "-" and bool(until) and str(until) <= self.labels["at"]
        return Agreement(linked.level, linked.polarity or ended)


def _signed(fact: Labels) -> tuple[str, str]:
    """Polarity and object, a leading "no" taken into the polarity."""
    sign, obj = fact.get("polarity") or "+", str(fact["object"])
    negative = re.match(r"(?:no|not)\s+(?=\w)", obj, re.I)
    return ("+" if sign == "-" else "-", obj[negative.end() :]) if negative else (sign, obj)


def _inverse(predicate: str) -> str | None:
    rules = _rules()
    if predicate in rules["symmetric"]:
        return predicate
    both = rules["inverse"] | {v: k for k, v in rules["inverse"].items()}
    turned: str | None = both.get(predicate)
    return turned


def _linked(gold: str, found: str, gold_sign: str, sign: str) -> Agreement | None:
    rules = _rules()
    if gold == found:
        return Agreement(2, gold_sign == sign)
    if any(gold in group and found in group for group in rules["near"]):
        return Agreement(1, gold_sign == sign)
    if gold_sign != sign and any({gold, found} == set(pair) for pair in rules["opposite"]):
        return Agreement(1, True)
    for past, now in rules["past"]:
        if (gold, found, sign) == (past, now, "-") or (found, gold, gold_sign) == (past, now, "-"):
            return Agreement(1, True)
    return Agreement(0, gold_sign == sign) if "attribute" in (gold, found) else None


def _modality(fact: Labels) -> str:
    return str(fact.get("modality") or "actual")


def _pairs(turn: Turn, found: Sequence[Labels], *, relaxed: bool) -> list[tuple[int, int, Agreement]]:
    """(gold index, prediction index, agreement), by maximum-weight matching (Galil 1986, as networkx has it)."""
    graph, readings = nx.Graph(), {}
    for i, gold in enumerate(turn.labels["facts"]):
        for j, fact in enumerate(found):
            agreed = turn.agreement(gold, fact)
            if agreed is None or not (agreed.level or relaxed):
                continue
            optional = bool(gold.get("optional"))
            if optional and not (agreed.polarity and (_modality(gold) == "actual") == (_modality(fact) == "actual")):
                continue
            exact = _plain(str(gold["object"])) == _plain(str(fact["object"]))
            worth = (10 if agreed.level else 6) / (2 if optional else 1) + agreed.level + agreed.polarity + 1.5 * exact
            graph.add_edge(("gold", i), ("found", j), weight=worth)
            readings[i, j] = agreed
    matched = nx.max_weight_matching(graph)
    ends = [dict(edge) for edge in matched]
    return sorted((e["gold"], e["found"], readings[e["gold"], e["found"]]) for e in ends)


def _asserts_non_fact(turn: Turn, fact: Labels, gold: Labels | None, agreed: Agreement | None) -> bool:
    """Whether a prediction states what the labels list as a tempting mistake, and nothing truer."""
    for wrong in turn.labels.get("not_facts", ()):
        reading, date = turn.agreement(wrong, fact), wrong.get("valid_from")
        if reading is None or not reading.level or not reading.polarity or _modality(wrong) != _modality(fact):
            continue
        if date and not same_date(date, fact.get("valid_from")):
            continue
        right = gold is not None and agreed is not None and agreed.polarity and _modality(gold) == _modality(fact)
        if not right or (gold is not None and date and not same_date(gold.get("valid_from"), date)):
            return True
    return False


@dataclass
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    hits: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    by_predicate: dict[str, list[int]] = field(default_factory=dict)

    def take(self, turn: Turn, found: Sequence[Labels]) -> None:
        golds, n = turn.labels["facts"], self.counts
        required = [g for g in golds if not g.get("optional")]
        n.update(gold=len(required), empty=not required)
        for relaxed in (True, False):
            pairs = _pairs(turn, found, relaxed=relaxed)
            counted = len(found) - sum(bool(golds[i].get("optional")) for i, _, _ in pairs)
            n[f"found_{relaxed}"] += counted
            self.hits[relaxed] += sum(1 if a.level else 0.5 for i, _, a in pairs if not golds[i].get("optional"))
        if not required:
            n["false_in_empty"] += counted
        paired = {j: (golds[i], a) for i, j, a in pairs}
        n["asserted"] += sum(_asserts_non_fact(turn, f, *paired.get(j, (None, None))) for j, f in enumerate(found))
        for gold in required:
            self.by_predicate.setdefault(gold["predicate"], [0, 0])[1] += 1
        for i, j, agreed in pairs:
            if not golds[i].get("optional"):
                self._matched(golds[i], found[j], agreed)

    def _matched(self, gold: Labels, fact: Labels, agreed: Agreement) -> None:
        self.by_predicate[gold["predicate"]][0] += 1
        self.counts.update(
            matched=1,
            exact=agreed.level == 2,
            polarity=agreed.polarity,
            modality=_modality(gold) == _modality(fact) or gold["predicate"] == "goal",
            dated=bool(gold.get("valid_from")),
            date_right=same_date(gold.get("valid_from"), fact.get("valid_from")),
        )

    def report(self, turns: int) -> dict[str, Any]:
        n = self.counts
        return {
            "turns": turns,
            "gold_facts": n["gold"],
            "matched": n["matched"],
            "strict": _scores(self.hits[False], n["found_False"], n["gold"]),
            "relaxed": _scores(self.hits[True], n["found_True"], n["gold"]),
            "exact_predicate": _share(n["exact"], n["matched"]),
            "polarity_accuracy": _share(n["polarity"], n["matched"]),
            "modality_accuracy": _share(n["modality"], n["matched"]),
            "valid_from_scored": n["dated"],
            "valid_from_accuracy": _share(n["date_right"], n["dated"]),
            "asserted_non_facts": n["asserted"],
            "asserted_non_facts_share": _share(n["asserted"], n["found_False"]),
            "empty_turns": n["empty"],
            "false_per_100_empty_turns": _share(100 * n["false_in_empty"], n["empty"]),
            "recall_by_predicate": dict(sorted(self.by_predicate.items())),
        }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _scores(hits: float, found: int, gold: int) -> dict[str, float]:
    precision = hits / found if found else float(not gold)
    recall = hits / gold if gold else float(not found)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}


def score(gold: Sequence[Labels], predictions: Mapping[str, Sequence[Labels]]) -> dict[str, Any]:
    """Precision, recall and the error counts of predictions (by turn id) against labelled turns."""
    tally = _Tally()
    for labels in gold:
        tally.take(Turn(labels), predictions.get(labels["id"], ()))
    return tally.report(len(gold))


def read_gold(path: Path) -> list[dict[str, Any]]:
    """The labelled turns of a file. Raises InvalidInput, naming it and the line, when one lacks what a turn needs."""
    turns = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no file of labelled turns: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            turn = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{path}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(turn, dict) or [k for k in ("id", "speaker", "at", "text", "facts") if k not in turn]:
            raise InvalidInput(f"{path}, line {number}: a labelled turn needs id, speaker, at, text and facts")
        turns.append(turn)
    return turns


def episodes_of(turn: Labels) -> tuple[list[Episode], list[Episode]]:
    """A labelled turn as (context, turns) for an extractor. An addressee who has said nothing stands in the context."""
    at = datetime.fromisoformat(turn["at"])
    zone = at.strftime("%z")[:3] + ":" + at.strftime("%z")[3:] if at.tzinfo else "+00:00"

    def episode(id_: str, speaker: str, text: str) -> Episode:
        return Episode(
            id=id_,
            session=turn["id"],
            role="assistant" if speaker == "assistant" else "user",
            speaker=speaker,
            content=text,
            at=at,
            zone=zone,
            recorded_at=at,
            digest="",
        )

    context = [episode(f"{turn['id']}-{i}", c["speaker"], c["text"]) for i, c in enumerate(turn.get("context", ()))]
    addressee = turn.get("addressee")
    if addressee and all(c.speaker != addressee for c in context):
        context.insert(0, episode(f"{turn['id']}-a", addressee, "."))
    return context, [episode(turn["id"], turn["speaker"], turn["text"])]


def as_fact(proposal: Proposal) -> dict[str, Any]:
    """A proposal in the form of the gold file."""
    keys = ("subject", "predicate", "object", "polarity", "modality")
    dates = {k: str(v) if (v := getattr(proposal, k)) is not None else None for k in ("valid_from", "valid_to")}
    return {k: getattr(proposal, k) for k in keys} | dates


def predict(gold: Iterable[Labels], extractor: Extractor) -> dict[str, list[dict[str, Any]]]:
    """What the extractor reads in each labelled turn, by turn id."""
    found = {}
    for turn in gold:
        context, turns = episodes_of(turn)
        found[turn["id"]] = [as_fact(p) for p in extractor.extract(turns, context)]
    return found


def write_predictions(path: Path, predictions: Mapping[str, Sequence[Labels]]) -> None:
    """One JSON object a line, `{"id": ..., "facts": [...]}`, for scoring by other tools."""
    lines = [json.dumps({"id": id_, "facts": list(facts)}, ensure_ascii=False) for id_, facts in predictions.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(gold: Path, extractor: Extractor, predictions: Path | None = None) -> dict[str, Any]:
    """Extract from every turn of a gold file and score it; `predictions` also keeps what was read.

    Raises InvalidInput when the file holds something else than labelled turns.
    """
    turns = read_gold(gold)
    start = perf_counter()
    found = predict(turns, extractor)
    seconds = perf_counter() - start
    if predictions is not None:
        write_predictions(predictions, found)
    speed = round(len(turns) / seconds, 1) if seconds else None
    return {"extractor": extractor.name, **score(turns, found), "seconds": round(seconds, 2), "turns_per_second": speed}
