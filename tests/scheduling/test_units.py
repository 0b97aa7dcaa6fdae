"""The units that `schedule print` prints work as they are."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from typer.testing import CliRunner

from memory_agent.cli.main import app
from memory_agent.errors import InvalidInput
from memory_agent.memory import Memory
from memory_agent.scheduling.units import FORMS, Form, Wanted, unit
from memory_agent.testing import HashEmbedder

WANTED = Wanted(executable="/opt/a b/bin/memory-agent", store="/srv/50%/memory", conditions=("--min-new", "5"))


def test_every_unit_names_the_store_and_both_jobs() -> None:
    for form in FORMS:
        text = unit(form, WANTED)
        assert "consolidate" in text
        assert "distill" in text
        assert "$" not in re.sub(r"\$(code|\?)", "", text), "a placeholder was left"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    executable = tmp_path / "memory-agent"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    path = tmp_path / "memory-agent.service"
    path.write_text(unit("systemd", Wanted(executable=str(executable), store="/srv/50%/memory")))
    said = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    ours = [line for line in (said.stdout + said.stderr).splitlines() if "memory-agent.service" in line]
    assert (ours, said.returncode) == ([], 0), said.stderr
    assert "50%%" in path.read_text()


def test_the_cron_lines_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["schedule", "print", "cron", "--store", str(tmp_path / "50%/m"), "--user", "ann"])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert len(lines) == 2
    with Memory.open(tmp_path / "50%/m", user="ann", embedder=HashEmbedder(8)):
        pass
    line = next(line for line in lines if "consolidate" in line)
    assert line.startswith("*/15 * * * * ")
    command = line.split(" ", 5)[5].replace("\\%", "%")  # as cron hands it to the shell
    ran = subprocess.run(["/bin/sh", "-c", command], check=False, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    log = Path(f"{tmp_path}/50%/m.log")
    assert ran.returncode == 3, log.read_text()
    assert json.loads(log.read_text())["ending"] == "not_due"


@pytest.mark.parametrize("store", ["/srv/memory", "postgresql://db/memory"])
def test_kubernetes_knows_every_field(store: str) -> None:
    from kubernetes import client

    text = unit("kubernetes", Wanted("/x/memory-agent", store, conditions=("--idle", "15m"), timezone="Europe/Lisbon"))
    documents = [document for document in yaml.safe_load_all(text) if document]
    assert [document["metadata"]["name"] for document in documents] == [
        "memory-agent-consolidate",
        "memory-agent-distill",
    ]
    api = client.ApiClient()
    for document in documents:
        typed = api.deserialize(json.dumps(document), "V1CronJob", "application/json")
        assert api.sanitize_for_serialization(typed) == document, "a field that the API does not know"
        [container] = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert "--idle 15m" in container["args"][0] or "consolidate" in container["args"][0]
        script = container["args"][0].replace("memory-agent", "sh -c 'exit $CODE' memory-agent", 1)
        for code, expected in ((0, 0), (3, 0), (4, 0), (5, 0), (1, 1), (7, 7)):
            ran = subprocess.run(["/bin/sh", "-c", script], env={**os.environ, "CODE": str(code)}, check=False)
            assert ran.returncode == expected
    assert ("secretKeyRef" in text) is store.startswith("postgres")


class Dag:
    """Takes what Airflow's DAG is documented to take, of what we give, and nothing else."""

    def __init__(
        self, *, dag_id: str, schedule: str, start_date: datetime, catchup: bool, max_active_runs: int, tags: list[str]
    ) -> None:
        self.dag_id, self.schedule, self.start_date = dag_id, schedule, start_date
        assert (catchup, max_active_runs) == (False, 1)
        self.tasks: list[Operator] = []

    def __enter__(self) -> Dag:
        Operator.dag = self
        return self

    def __exit__(self, *exc: object) -> None:
        Operator.dag = None


class Operator:
    """As `Dag`, of BashOperator and the BaseOperator below it."""

    dag: Dag | None = None

    def __init__(
        self,
        *,
        task_id: str,
        bash_command: str,
        skip_on_exit_code: list[int],
        retries: int,
        retry_delay: timedelta,
        execution_timeout: timedelta,
    ) -> None:
        self.task_id, self.command, self.skipped = task_id, bash_command, skip_on_exit_code
        assert self.dag is not None
        self.dag.tasks.append(self)


@pytest.mark.parametrize("place", ["airflow.providers.standard.operators.bash", "airflow.operators.bash"])
def test_the_airflow_file_makes_a_dag_for_each_job(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Airflow 3's place of the operator, and by Airflow 2's."""
    modules = {"airflow": {"DAG": Dag}, place: {"BashOperator": Operator}}
    for name in {".".join(path.split(".")[:n]) for path in modules for n in range(1, path.count(".") + 2)}:
        module = types.ModuleType(name)
        module.__path__ = []
        vars(module).update(modules.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)
    made: dict[str, Any] = {}
    exec(compile(unit("airflow", replace(WANTED, timezone="Europe/Lisbon")), "memory_agent.py", "exec"), made)
    dags = {name: dag for name, dag in made.items() if name.startswith("memory_agent_")}
    assert {name: (dag.dag_id, dag.schedule) for name, dag in dags.items()} == {
        "memory_agent_consolidate": ("memory_agent_consolidate", "*/15 * * * *"),
        "memory_agent_distill": ("memory_agent_distill", "30 3 * * *"),
    }
    for dag in dags.values():
        [task] = dag.tasks
        assert (task.skipped, dag.start_date.tzinfo) == ([3, 5], ZoneInfo("Europe/Lisbon"))
        assert not task.command.endswith((".sh", ".bash")), "Airflow would load it as a template"
    [distill] = dags["memory_agent_distill"].tasks
    assert shlex.split(distill.command) == [
        "/opt/a b/bin/memory-agent", "distill", "--if-due", "--all-users", "--min-new", "5", "--store",
        "/srv/50%/memory", "--json",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["cron", "kubernetes", "airflow"])
def test_what_a_form_cannot_say_is_refused(form: Form) -> None:
    with pytest.raises(InvalidInput, match="cron expressions"):
        unit(form, Wanted("/x", "/m", distill="6h"))
    with pytest.raises(InvalidInput):
        unit("cron", Wanted("/x", "/m", timezone="Europe/Lisbon"))
    with pytest.raises(InvalidInput):
        unit("systemd", Wanted("/x", "/m", distill="not a time"))
