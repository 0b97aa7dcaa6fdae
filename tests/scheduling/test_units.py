"""The units that `schedule print` prints work as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

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


def test_the_airflow_file_is_python_with_both_commands() -> None:
    text = unit("airflow", WANTED)
    compile(text, "memory_agent.py", "exec")
    assert "'/opt/a b/bin/memory-agent' distill --if-due --all-users --min-new 5 --store /srv/50%/memory" in text


@pytest.mark.parametrize("form", ["cron", "kubernetes", "airflow"])
def test_what_a_form_cannot_say_is_refused(form: Form) -> None:
    with pytest.raises(InvalidInput, match="cron expressions"):
        unit(form, Wanted("/x", "/m", distill="6h"))
    with pytest.raises(InvalidInput):
        unit("cron", Wanted("/x", "/m", timezone="Europe/Lisbon"))
    with pytest.raises(InvalidInput):
        unit("systemd", Wanted("/x", "/m", distill="not a time"))
