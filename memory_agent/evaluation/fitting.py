"""Fits the fusion weights of retrieval, and says what they are worth on conversations they have not seen.

    python -m memory_agent.evaluation.fitting locomo:locomo10.json [--out FOLDER] [--ablate] [--page FOLDER]

A logistic regression over the candidates that `retrieval.features` makes, each question weighing the
same, with a ridge on standardised features, solved by Newton's method: no randomness, so the same
data give the same file; and boosted trees over the same (`boosting`). The figure that counts is
leave-one-conversation-out: each conversation is ranked with weights and trees fitted on the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from memory_agent.config import Settings
from memory_agent.evaluation import boosting
from memory_agent.evaluation.datasets import Conversation, Question, load
from memory_agent.evaluation.ranking import SHOWN, Ranked, mean, summary
from memory_agent.evaluation.report import Report, Table, command, keep, stamped
from memory_agent.models.embedders import Embedder, load_embedder
from memory_agent.records import Episode
from memory_agent.retrieval.corpus import Corpus, Floats
from memory_agent.retrieval.features import NAMES, candidates
from memory_agent.retrieval.fusion import FILE, FIXED, FIXED_AT, TREES, Weights
from memory_agent.retrieval.index import text_of
from memory_agent.retrieval.question import KINDS, read_question
from memory_agent.retrieval.trees import Trees

RIDGE = 0.01
_STEPS = 30


@dataclass
class Example:
    """One question's candidates: ids, sessions, features (n, len(NAMES)), and which of them are evidence."""

    question: Question
    ids: list[str]
    sessions: dict[str, str]
    features: Floats
    relevant: np.ndarray[tuple[int], np.dtype[np.bool_]]


def examples(conversation: Conversation, embedder: Embedder, *, first_named: bool = True) -> list[Example]:
    """The candidates of every headline question of a conversation, as `search` would see them.

    Without `first_named`, a question that names several speakers is about none of them, for the ablation.
    """
    recorded = datetime(2000, 1, 1, tzinfo=UTC)
    episodes = [
        Episode(id=str(turn.id), session=name, role=turn.role, content=turn.content, at=turn.at or recorded,
                speaker=turn.speaker or (conversation.id if turn.role == "user" else turn.role),
                recorded_at=recorded, digest="")
        for name, turns in conversation.sessions.items()
        for turn in turns
    ]  # fmt: skip
    corpus = Corpus()
    corpus.add(episodes)
    corpus.set_vectors([episode.id for episode in episodes], embedder.embed([text_of(e) for e in episodes]))
    sessions = {episode.id: episode.session for episode in episodes}
    found = []
    for question in (q for q in conversation.questions if q.headline):
        asked = read_question(question.text, corpus.speakers)
        if len(asked.speakers) > 1 and not first_named:
            asked = replace(asked, subject=None)
        vectors = np.stack([embedder.embed_query(asked.text), embedder.embed_query(asked.bare)])
        pool = candidates(corpus, asked, vectors, lambda vector, limit: [])
        ids = [corpus.ids[number] for number in pool.documents]
        relevant = np.isin(ids, question.evidence)
        found.append(Example(question, ids, sessions, pool.features, relevant))
    return found


def fit(rows: Sequence[Example], ridge: float = RIDGE, without: Sequence[str] = ()) -> Weights:
    """Logistic regression over the candidates of `rows`, leaving out the features named in `without`, without trees.

    The features in FIXED keep their weights, and the others are fitted beside them.
    """
    fixed = np.array([FIXED.get(name, 0.0) * (name not in without) for name in NAMES])
    used = np.array([name not in without for name in NAMES]) & ~FIXED_AT
    features = np.concatenate([row.features for row in rows]).astype(np.float64)
    relevant = np.concatenate([row.relevant for row in rows]).astype(np.float64)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where((spread < 1e-9) | ~used, np.inf, spread)
    offset = features @ fixed
    design = np.hstack([(features - mean) / spread, np.ones((len(features), 1))])
    penalty = np.diag(np.r_[np.full(len(NAMES), 2 * ridge), 1e-9])
    weights = np.zeros(len(NAMES) + 1)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-design @ weights - offset))
        gradient = design.T @ (chance - relevant) / len(rows) + penalty @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design / len(rows) + penalty
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if float(np.abs(step).max()) < 1e-5:
            break
    values = weights[:-1] / spread
    return Weights((values + fixed).astype(np.float32), float(weights[-1] - (values * np.where(used, mean, 0)).sum()))


def grow(rows: Sequence[Example], weights: Weights) -> tuple[Weights, dict[str, Any]]:
    """The weights with trees fitted on the same rows beside them, and those trees as data."""
    features = np.concatenate([row.features for row in rows])
    trees = boosting.boost(features, np.concatenate([row.relevant for row in rows]))
    return replace(weights, trees=Trees.read(trees, NAMES)), trees


def ranked(rows: Sequence[Example], weights: Weights) -> list[Ranked]:
    """Each question's candidates in the order the weights give."""
    found = []
    for row in rows:
        order = np.argsort(-weights.logits(row.features), kind="stable")
        found.append(Ranked(row.question, [row.ids[i] for i in order], row.sessions))
    return found


def left_out(
    folds: Sequence[Sequence[Example]], ridge: float = RIDGE, without: Sequence[str] = (), *, trees: bool = False
) -> list[Ranked]:
    """Every conversation ranked by weights fitted on the others, and by trees as well where that is asked for."""
    found = []
    for i, fold in enumerate(folds):
        others = [row for j, other in enumerate(folds) if j != i for row in other]
        weights = fit(others, ridge, without)
        found += ranked(fold, grow(others, weights)[0] if trees else weights)
    return found


def alone(folds: Sequence[Sequence[Example]], columns: Sequence[str]) -> list[Ranked]:
    """Every question's candidates in the order of the plain sum of these features: an arm without a fit."""
    weights = Weights(np.array([name in columns for name in NAMES], dtype=np.float32), 0.0)
    return [row for fold in folds for row in ranked(fold, weights)]


ARMS = {
    "BM25": ("bm25",),
    "BM25, names out": ("bm25_bare",),
    "BM25 of the window, names out": ("window_bm25",),
    "cosine": ("cosine_full",),
    "cosine, names out": ("cosine_bare",),
    "BM25 and cosine, names out": ("bm25_bare", "cosine_bare"),
}
"""What is ranked without a fit, for comparison."""

GROUPS = {
    "names taken out": ("bm25_bare", "bm25_log", "cosine_bare", "cosine_raw"),
    "windows": ("window_bm25", "window_cosine", "window_covered"),
    "neighbours": ("near-2", "near-1", "near+1", "near+2", "answers", "asks"),
    "sessions": ("session_bm25", "session_best", "session_three"),
    "speaker": ("speaker",),
    "date": ("date",),
    "kind of turn": (*(name for name in NAMES if name.startswith("turn_")), "first"),
    "kind of question": tuple(name for name in NAMES if name.partition("_")[0] in KINDS),
    "coverage": ("covered", "window_covered", "rarest"),
}  # fmt: skip
"""Features that are left out together in the ablation."""


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str | float, ...]:
    return (name, *(float(figures[figure]) for figure in SHOWN))


def report(found: Mapping[str, Any], arguments: Sequence[str]) -> Report:
    """What `main` found, as a page shows it."""
    best = found["leave_one_conversation_out"]
    arms = {"fusion, left out": best, "without the trees": found["linear"], **found.get("alone", {})}
    tables = [
        Table(
            title="The fusion, and each arm alone",
            columns=("", *SHOWN),
            rows=tuple(_row(*arm) for arm in arms.items()),
        ),
        Table(
            title="By category, fusion left out",
            columns=("", *SHOWN),
            rows=tuple(_row(*category) for category in best["by_category"].items()),
        ),
    ]
    if "without" in found:
        rows = {"nothing": found["linear"], **found["without"]}
        title = "One group of features, or one rule, left out at a time (trees aside)"
        tables.append(Table(title=title, columns=("left out", *SHOWN), rows=tuple(_row(*row) for row in rows.items())))
    if "checks" in found:
        rows = found["checks"]
        title = "A check on other talk, by what was fitted on all of these, and without each weight that is set"
        tables.append(Table(title=title, columns=("", *SHOWN), rows=tuple(_row(*row) for row in rows.items())))
    typed = command(["", *arguments]).replace("memory-agent", "python -m memory_agent.evaluation.fitting", 1)
    seeds = (boosting.SEED,)
    return stamped("recall", "Recall", tables=tables, seeds=seeds).model_copy(update={"command": typed})


def _measured(conversations: Sequence[Conversation], embedder: Embedder, *, ablate: bool) -> tuple[Weights, Any, Any]:
    """Weights and trees fitted on everything, and what they are worth left out."""
    folds = [examples(conversation, embedder) for conversation in conversations]
    found: dict[str, Any] = {"leave_one_conversation_out": summary(left_out(folds, trees=True))}
    found["linear"] = summary(left_out(folds))
    if ablate:
        found["alone"] = {name: summary(alone(folds, columns)) for name, columns in ARMS.items()}
        without = {name: summary(left_out(folds, without=group)) for name, group in GROUPS.items()}
        nobody = [examples(conversation, embedder, first_named=False) for conversation in conversations]
        found["without"] = without | {"the first of two named": summary(left_out(nobody))}
    rows = [row for fold in folds for row in fold]
    return *grow(rows, fit(rows)), found


def _checked(dataset: str, embedder: Embedder, weights: Weights) -> dict[str, Any]:
    """What the weights are worth elsewhere, and without each of those that were set."""
    rows = [row for conversation in load(dataset) for row in examples(conversation, embedder)]

    def worth(weights: Weights) -> dict[str, float]:
        return mean(ranked(rows, weights))

    found = {"all": worth(weights), "without the trees": worth(replace(weights, trees=None))}
    for name in FIXED:
        values = np.where([other == name for other in NAMES], 0, weights.values).astype(np.float32)
        found[f"without {name}"] = worth(replace(weights, values=values))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints JSON."""
    parser = argparse.ArgumentParser(prog="python -m memory_agent.evaluation.fitting", description=__doc__)
    parser.add_argument("dataset", help="locomo:PATH or beam:DIR")
    parser.add_argument("--out", type=Path, help="the folder to write weights and trees fitted on everything into")
    parser.add_argument("--check", help="another data set, ranked by what was fitted on everything of the first")
    parser.add_argument("--page", type=Path, help="keep the figures in this folder of pages (docs/benchmarks)")
    parser.add_argument(
        "--ablate", action="store_true", help="also the arms alone, and the fit without one group of features"
    )
    given = parser.parse_args(arguments)
    conversations, embedder = load(given.dataset), load_embedder(Settings.load())
    weights, trees, found = _measured(conversations, embedder, ablate=given.ablate)
    if given.check:
        found["checks"] = _checked(given.check, embedder, weights)
    if given.out:
        content = {
            "fitted_on": [conversation.id for conversation in conversations],
            "leave_one_conversation_out": found["leave_one_conversation_out"],
            "bias": round(weights.bias, 5),
            "weights": {name: round(float(value), 5) for name, value in zip(NAMES, weights.values, strict=True)},
        }
        (given.out / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        boosting.write(trees, given.out / TREES)
    if given.page:
        ablate = ["--ablate"] if given.ablate else []
        check = ["--check", given.check] if given.check else []
        keep(report(found, [given.dataset, *ablate, *check]), given.page)
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
