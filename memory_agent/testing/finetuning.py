"""A fine-tuning API on loopback that speaks OpenAI's wire format: files, jobs, chat completions, models.

It "tunes" by learning rows by heart: a tuned model answers a question of its rows with their answer, any
other as its base does, which is `base_answer`. Every job goes through the states of a real one, a step each time
it is looked at. Serves from a thread of its own while the context is open; nothing leaves the machine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

_STATES = ("validating_files", "queued", "running", "succeeded")
_NOW = 1_750_000_000


class FineTuningServer:
    """The server, to be entered; `url` is what a client's `base_url` is set to.

    `files`, `jobs` and `models` show what a provider would hold. Set `fails` to end the next jobs as failed with that
    code, `broken` to answer so many requests with status 500 first, `logprobs` to False to refuse them as some servers
    do, `stuck` to keep jobs running for ever.
    """

    def __init__(self, *, key: str = "sk-test", base_answer: Callable[[str], str] = lambda asked: "Well.") -> None:
        self.key = key
        self.base_answer = base_answer
        self.files: dict[str, tuple[str, bytes]] = {}
        """Id -> name and content."""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, str]] = {}
        """Tuned model -> question -> answer."""
        self.asked: list[dict[str, Any]] = []
        """Every chat request so far."""
        self.fails = ""
        self.broken = 0
        self.logprobs = True
        self.stuck = False
        self._made = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, body: bytes, content: str) -> tuple[int, Any]:
        """Status and JSON for one request; `path` begins after /v1."""
        with self._lock:
            if self.broken:
                self.broken -= 1
                return 500, _error("server_error")
            parts = path.strip("/").split("/")
            if parts[0] == "files":
                return self._on_files(method, parts[1:], body, content)
            if parts[:2] == ["fine_tuning", "jobs"]:
                return self._on_jobs(method, parts[2:], body)
            if parts == ["chat", "completions"]:
                return self._on_chat(json.loads(body))
            if parts[0] == "models" and method == "DELETE":
                gone = self.models.pop("/".join(parts[1:]), None)
                return (404, _error("model_not_found")) if gone is None else (200, {"id": parts[1], "deleted": True})
            return 404, _error("unknown_url")

    def _new(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self._made}"

    def _on_files(self, method: str, parts: list[str], body: bytes, content: str) -> tuple[int, Any]:
        if method == "POST":
            name, data = _uploaded(body, content)
            id = self._new("file")
            self.files[id] = (name, data)
            return 200, self._file(id)
        if not parts:
            return 200, {"object": "list", "data": [self._file(id) for id in self.files], "has_more": False}
        if parts[0] not in self.files:
            return 404, _error("file_not_found")
        if method == "DELETE":
            del self.files[parts[0]]
            return 200, {"id": parts[0], "object": "file", "deleted": True}
        return 200, self._file(parts[0])

    def _file(self, id: str) -> dict[str, Any]:
        name, data = self.files[id]
        return {
            "id": id, "object": "file", "bytes": len(data), "created_at": _NOW, "filename": name,
            "purpose": "fine-tune", "status": "processed",
        }  # fmt: skip

    def _on_jobs(self, method: str, parts: list[str], body: bytes) -> tuple[int, Any]:
        if method == "POST" and not parts:
            return self._begin(json.loads(body))
        if not parts:
            return 200, {"object": "list", "data": list(self.jobs.values()), "has_more": False}
        job = self.jobs.get(parts[0])
        if job is None:
            return 404, _error("job_not_found")
        if parts[1:] == ["cancel"]:
            job["status"] = "cancelled"
        else:
            self._step(job)
        return 200, job

    def _begin(self, asked: Mapping[str, Any]) -> tuple[int, Any]:
        if asked["training_file"] not in self.files:
            return 400, _error("invalid_training_file")
        id = self._new("ftjob")
        self.jobs[id] = {
            "id": id, "object": "fine_tuning.job", "created_at": _NOW, "model": asked["model"],
            "training_file": asked["training_file"], "validation_file": None, "status": _STATES[0],
            "fine_tuned_model": None, "finished_at": None, "trained_tokens": None, "error": None,
            "organization_id": "org-test", "result_files": [], "seed": asked.get("seed", 0),
            "hyperparameters": {"n_epochs": "auto"}, "method": asked.get("method"),
        }  # fmt: skip
        return 200, self.jobs[id]

    def _step(self, job: dict[str, Any]) -> None:
        """Move a job on, as time would."""
        if job["status"] not in _STATES[:-1] or (self.stuck and job["status"] == "running"):
            return
        if self.fails:
            job.update(status="failed", error={"code": self.fails, "message": "the rows say: ...", "param": None})
            return
        job["status"] = _STATES[_STATES.index(job["status"]) + 1]
        if job["status"] == "succeeded":
            rows = [json.loads(line)["messages"] for line in self.files[job["training_file"]][1].splitlines()]
            name = f"ft:{job['model']}:{job['id']}"
            self.models[name] = {turns[-2]["content"]: turns[-1]["content"] for turns in rows}
            job.update(fine_tuned_model=name, finished_at=_NOW, trained_tokens=sum(len(str(turns)) for turns in rows))

    def _on_chat(self, asked: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(asked)
        if asked["model"].startswith("ft:") and asked["model"] not in self.models:
            return 404, _error("model_not_found")
        if asked.get("logprobs") and not self.logprobs:
            return 400, _error("unsupported_parameter")
        question = asked["messages"][-1]["content"]
        text = self.models.get(asked["model"], {}).get(question) or self.base_answer(question)
        told: list[dict[str, Any]] = [
            {"token": word, "logprob": -0.1, "bytes": None, "top_logprobs": []} for word in text.split()
        ]
        choice = {
            "index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": {"content": told, "refusal": None} if asked.get("logprobs") else None,
        }  # fmt: skip
        spent = {"prompt_tokens": len(question.split()), "completion_tokens": len(told), "total_tokens": 0}
        spent["total_tokens"] = spent["prompt_tokens"] + spent["completion_tokens"]
        return 200, {
            "id": self._new("chatcmpl"), "object": "chat.completion", "created": _NOW, "model": asked["model"],
            "choices": [choice], "usage": spent,
        }  # fmt: skip


def _error(code: str) -> dict[str, Any]:
    return {"error": {"message": "the rows say: ...", "type": "invalid_request_error", "param": None, "code": code}}


def _uploaded(body: bytes, content: str) -> tuple[str, bytes]:
    """Name and bytes of the file in a multipart form."""
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content}\r\n\r\n".encode() + body)
    for part in form.iter_parts():
        if part.get_param("name", header="content-disposition") == "file":
            return str(part.get_filename()), cast(bytes, part.get_payload(decode=True))
    raise ValueError("the form holds no file")


def _handler(owner: FineTuningServer) -> type[BaseHTTPRequestHandler]:
    """The requests of one server, checked for its key."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.removeprefix("/v1").partition("?")[0]
            if self.headers.get("Authorization") != f"Bearer {owner.key}":
                status, said = 401, _error("invalid_api_key")
            else:
                status, said = owner.answer(self.command, path, body, self.headers.get("Content-Type", ""))
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (http.server's own names)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    return Handler
