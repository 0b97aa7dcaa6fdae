"""A command of the user's as a trainer: it finds the job in a folder and leaves an adapter in another.

The command is split as a shell would split it and run without one. `{job}`, `{out}` and `{base}` in it
stand for the job folder, the folder to write the adapter to, and the base model's; the same are in the environment
as MEMORY_AGENT_JOB, _OUT and _BASE. It runs in a folder of its own beside the job, which survives a
kill, so checkpoints may be kept there. A line of its output that begins with a number and "%" moves the progress
bar. What it says goes to `command.log` in that folder and into no message: it may quote what was remembered.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from memory_agent.distillation.job import read
from memory_agent.distillation.trainers.folders import find_adapter, take_adapter
from memory_agent.errors import InvalidInput, TrainerFailed
from memory_agent.protocols import Progress

_LOOK = 0.2
"""Seconds between two looks at the command."""
_SHARE = re.compile(r"^\s*(\d{1,3}(?:\.\d+)?)\s*%\s*(.*)$")


class CommandTrainer:
    """Runs a command on the prepared job and reads the adapter it leaves; see the module."""

    def __init__(self, *, command: str | Sequence[str], timeout: float = 86_400.0, grace: float = 10.0) -> None:
        """`timeout`: seconds it may take; `grace`: seconds from asking it to stop until it is killed.

        Raises InvalidInput for a command that is empty or cannot be split.
        """
        try:
            self._command = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
        except ValueError as error:
            raise InvalidInput(f"the trainer's command cannot be split: {error}") from error
        if not self._command:
            raise InvalidInput("the trainer's command is empty")
        self._timeout, self._grace = timeout, grace
        digest = hashlib.sha256("\0".join(self._command).encode()).hexdigest()
        self.name = f"command/{digest[:16]}"

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """Run the command, and take the adapter it left; see `Trainer`.

        Raises TrainerFailed when it cannot be run, ends with another code than 0, takes too long or leaves no
        adapter. An exception out of `progress` stops the command with all it started.
        """
        settings, _ = read(job)
        work, fresh = out.parent / "work", out.parent / "written"
        shutil.rmtree(fresh, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        places = {"job": str(job.resolve()), "out": str(fresh.resolve()), "base": settings.base_folder}
        log = work / "command.log"
        code = self._run(places, work, log, progress or _silent)
        if code != 0:
            raise TrainerFailed(f"the trainer's command ended with code {code}; what it said is in {log}")
        found = find_adapter(fresh)
        if found is None:
            raise TrainerFailed(f"the trainer's command left no PEFT adapter in {fresh}; what it said is in {log}")
        return take_adapter(found, out)

    def _run(self, places: dict[str, str], work: Path, log: Path, progress: Progress) -> int:
        """Run the command to its end; its exit code."""
        arguments = [_filled(part, places) for part in self._command]
        environment = {**os.environ, **{f"MEMORY_AGENT_{name.upper()}": path for name, path in places.items()}}
        ends = time.monotonic() + self._timeout
        heard: list[tuple[float, str]] = [(0.0, "the command runs")]
        with log.open("ab") as file:
            try:
                process = subprocess.Popen(
                    arguments, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise TrainerFailed(f"the trainer's command cannot be run: {error}") from error
            assert process.stdout is not None
            reader = threading.Thread(target=_listen, args=(process.stdout, file, heard.append), daemon=True)
            reader.start()
            try:
                while (code := _wait(process, _LOOK)) is None:
                    progress(*heard[-1])
                    if time.monotonic() > ends:
                        raise TrainerFailed(f"the trainer's command took over {self._timeout:g} s and was stopped")
            finally:
                _stop(process, self._grace)
                reader.join(self._grace)
        progress(1.0, "the command is done")
        return code


def _silent(share: float, doing: str) -> None:
    pass


def _filled(part: str, places: dict[str, str]) -> str:
    """A word of the command with its places filled in; other braces stay."""
    for name, path in places.items():
        part = part.replace(f"{{{name}}}", path)
    return part


def _listen(output: IO[bytes], log: IO[bytes], tell: Callable[[tuple[float, str]], object]) -> None:
    """Copy what the command says to its log, and tell what it says of its progress."""
    for line in output:
        log.write(line)
        log.flush()
        if said := _SHARE.match(line.decode("utf-8", "replace").split("\r")[-1]):
            tell((min(float(said[1]), 100.0) / 100, said[2].strip() or "the command runs"))
    output.close()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """End the command and what it started: asked first, then killed; nothing if it has ended."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.terminate()
        process.wait(grace)
        return
    os.killpg(process.pid, signal.SIGTERM)
    _wait(process, grace)
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
