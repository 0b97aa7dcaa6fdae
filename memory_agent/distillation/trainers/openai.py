"""A fine-tuning API that speaks OpenAI's format as a trainer: upload, start, wait, and what answers is theirs.

Everything on the API's side is found again by a digest of the rows, the model and the hyperparameters, which the
uploaded file is named by: a run that was killed, or stopped, goes on waiting for the job it had begun. What is
taught leaves the machine. The rows are deleted there when the job is over; the tuned model when its adapter is.

The replayed questions are answered by the model that is to be tuned, not by the student, since it is what is to
be held to itself.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from memory_agent.distillation.job import Job, read
from memory_agent.distillation.trainers.export import Rows, chat_rows, replayed_questions
from memory_agent.errors import InvalidInput, ModelError, TrainerFailed
from memory_agent.folders import whole
from memory_agent.models.remote import FILE, Remote, ask, client_of
from memory_agent.protocols import Progress

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.fine_tuning import FineTuningJob

_SHARES = {"validating_files": 0.1, "queued": 0.15, "running": 0.5, "succeeded": 1.0}
"""Status of a job -> about what share is done."""
_LIVE = ("validating_files", "queued", "running", "succeeded")
_ANSWER = 256
"""Most tokens of a replayed answer; those that are longer are left out."""


class OpenAITrainer:
    """Tunes `model` behind an API; see the module."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        poll: float = 10.0,
        timeout: float = 86_400.0,
        on_stop: Literal["leave", "cancel"] = "leave",
    ) -> None:
        """`base_url`: None for the `openai` client's own (OPENAI_BASE_URL, else OpenAI's).

        `hyperparameters` go to the API as they are, beside one epoch, since the rows hold all passes. `poll`: seconds
        between two looks; `timeout`: seconds after which the job is cancelled. When this run is stopped, `on_stop`
        leaves the job to be found again by the next run, or cancels it. Raises InvalidInput.
        """
        if not model:
            raise InvalidInput("the openai trainer needs the name of a model that can be tuned")
        if on_stop not in ("leave", "cancel"):
            raise InvalidInput(f"on_stop is leave or cancel, not {on_stop!r}")
        self._model, self._base_url = model, base_url
        self._hyperparameters = {"n_epochs": 1, **(hyperparameters or {})}
        self._poll, self._timeout, self._on_stop = poll, timeout, on_stop
        made = json.dumps([model, base_url, self._hyperparameters], sort_keys=True)
        self.name = f"openai/{hashlib.sha256(made.encode()).hexdigest()[:16]}"

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """Tune the model and write a folder that stands for it (`remote.json`); see `Trainer`.

        Raises TrainerFailed when the API refuses, fails, or takes too long.
        """
        from openai import OpenAIError

        settings, rows = read(job)
        told = progress or _silent
        digest = hashlib.sha256(f"{settings.digest}/{self.name}/{settings.seed}".encode()).hexdigest()
        try:
            client = client_of(self._base_url)
            file = self._uploaded(client, digest, rows, told)
            begun = self._begun(client, file, settings)
            done = self._wait(client, begun, told)
            remote = Remote(
                model=str(done.fine_tuned_model), base=self._model, base_url=str(client.base_url), job=done.id,
                file=file, digest=digest,
            )  # fmt: skip
            _write(out, remote, int(done.trained_tokens or 0))
            client.files.delete(file)
        except OpenAIError as error:
            raise TrainerFailed(f"the fine-tuning API failed: {_said(error)}") from error
        except ModelError as error:
            raise TrainerFailed(str(error)) from error
        told(1.0, "tuned")
        return out

    def _uploaded(self, client: OpenAI, digest: str, rows: Rows, progress: Progress) -> str:
        """The id of the uploaded rows: those of an earlier run, else uploaded now."""
        name = f"memory-agent-{digest[:32]}.jsonl"
        for file in client.files.list(purpose="fine-tune"):
            if file.filename == name:
                return file.id
        prompts = replayed_questions(rows)
        answers = ask(
            client, self._model, prompts, max_new_tokens=_ANSWER,
            progress=lambda done: progress(0.05 * done, "the model answers general questions"),
        )  # fmt: skip
        ended = [(prompt, one.text) for prompt, (one, ended) in zip(prompts, answers, strict=True) if ended]
        lines = [json.dumps({"messages": row["messages"]}, ensure_ascii=False) for row in chat_rows(rows, ended)]
        progress(0.05, f"uploading {len(lines)} rows")
        return client.files.create(file=(name, "\n".join(lines).encode()), purpose="fine-tune").id

    def _begun(self, client: OpenAI, file: str, job: Job) -> FineTuningJob:
        """The job on these rows: one that was begun and has not failed, else begun now."""
        for known in client.fine_tuning.jobs.list():
            if known.training_file == file and known.status in _LIVE:
                return known
        method = cast(Any, {"type": "supervised", "supervised": {"hyperparameters": self._hyperparameters}})
        return client.fine_tuning.jobs.create(
            model=self._model, training_file=file, method=method, seed=job.seed, suffix="memory-agent"
        )

    def _wait(self, client: OpenAI, job: FineTuningJob, progress: Progress) -> FineTuningJob:
        """The job when it is over. Raises TrainerFailed when it failed, was cancelled or takes too long."""
        ends = time.monotonic() + self._timeout
        try:
            while job.status in _LIVE and job.status != "succeeded":
                progress(_SHARES[job.status], f"{job.id} is {job.status.replace('_', ' ')}")
                if time.monotonic() > ends:
                    client.fine_tuning.jobs.cancel(job.id)
                    raise TrainerFailed(f"{job.id} took over {self._timeout:g} s and was cancelled")
                time.sleep(self._poll)
                job = _looked(client, job)
        except BaseException:
            if self._on_stop == "cancel" and job.status in _LIVE:
                client.fine_tuning.jobs.cancel(job.id)
            raise
        if job.status != "succeeded" or not job.fine_tuned_model:
            why = f": {job.error.code}" if job.error and job.error.code else ""
            raise TrainerFailed(f"{job.id} ended as {job.status}{why}; the API's own page says more")
        return job


def _silent(share: float, doing: str) -> None:
    pass


def _looked(client: OpenAI, job: FineTuningJob) -> FineTuningJob:
    """The job as it is now; as it was where the API does not answer, as it is asked again and there is a timeout."""
    from openai import APIConnectionError, InternalServerError, RateLimitError

    try:
        return client.fine_tuning.jobs.retrieve(job.id)
    except (APIConnectionError, InternalServerError, RateLimitError):
        return job


def _said(error: Exception) -> str:
    """The kind of error and its code; the API's own words may quote rows."""
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    return " ".join(str(part) for part in (type(error).__name__, status, code) if part)


def _write(out: Path, remote: Remote, tokens: int) -> None:
    with whole(out) as partial:
        (partial / FILE).write_text(remote.model_dump_json(indent=1) + "\n", "utf-8")
        (partial / "training.json").write_text(json.dumps({"tokens": tokens}) + "\n", "utf-8")
