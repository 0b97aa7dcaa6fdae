"""Units for schedulers that are there already: systemd, cron, Kubernetes, Airflow; printed, never installed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from memory_agent.errors import InvalidInput
from memory_agent.scheduling.jobs import JOBS
from memory_agent.scheduling.triggers import trigger_of

Form = Literal["systemd", "cron", "kubernetes", "airflow"]
FORMS: tuple[Form, ...] = ("systemd", "cron", "kubernetes", "airflow")


@dataclass(frozen=True)
class Wanted:
    """What is to run, where, and when."""

    executable: str
    """Full path of `memory-agent`."""
    store: str
    user: str = ""
    """Empty for all users of the store."""
    tenant: str = ""
    consolidate: str = "*/15 * * * *"
    distill: str = "30 3 * * *"
    """Cron expressions; for systemd also intervals like 6h."""
    timezone: str = "UTC"
    conditions: Sequence[str] = ()
    """Options for `distill --if-due`, e.g. --min-new 5."""
    account: str = "root"
    """Who systemd runs it as."""
    image: str = "slowwave:latest"
    """What Kubernetes runs."""
    memory: str = "6G"


def unit(form: Form, wanted: Wanted) -> str:
    """The text of the unit. Raises InvalidInput when the form cannot say what is wanted."""
    trigger_of(wanted.consolidate, wanted.timezone), trigger_of(wanted.distill, wanted.timezone)
    if form != "systemd" and any(len(when.split()) != 5 for when in (wanted.consolidate, wanted.distill)):
        raise InvalidInput(f"{form} wants cron expressions, e.g. --distill '30 3 * * *'; systemd takes intervals too")
    makers = {"systemd": _systemd, "cron": _cron, "kubernetes": _kubernetes, "airflow": _airflow}
    return makers[form](wanted)


def _template(name: str) -> Template:
    return Template((files(__package__) / name).read_text("utf-8"))


def _where(wanted: Wanted) -> list[str]:
    return [
        *(["--store", _absolute(wanted.store)] if wanted.store else []),
        *(["--user", wanted.user] if wanted.user else []),
        *(["--tenant", wanted.tenant] if wanted.tenant else []),
    ]


def _absolute(store: str) -> str:
    """A path as it reads from any folder; a URL as it is."""
    return store if "://" in store else str(Path(store).expanduser().absolute())


def _command(wanted: Wanted, job: str, executable: str | None = None) -> list[str]:
    """The command line that looks at one job and runs it if it is due."""
    everybody = [] if wanted.user else ["--all-users"]
    conditions = wanted.conditions if job == "distill" else ()
    return [executable or wanted.executable, job, "--if-due", *everybody, *conditions, *_where(wanted), "--json"]


def _systemd(wanted: Wanted) -> str:
    times = ["--consolidate", wanted.consolidate, "--distill", wanted.distill, "--timezone", wanted.timezone]
    words = [wanted.executable, "daemon", *times, *wanted.conditions, *_where(wanted)]
    # systemd: a percent sign begins a specifier, a dollar sign a variable; JSON's quoting is among those it reads.
    command = " ".join(json.dumps(word).replace("%", "%%").replace("$", "$$") for word in words)
    return _template("systemd.service").substitute(account=wanted.account, command=command, memory=wanted.memory)


def _cron(wanted: Wanted) -> str:
    if wanted.timezone != "UTC":
        raise InvalidInput("cron goes by its own machine's time zone: leave --timezone out")
    log = str(Path(wanted.store).expanduser().absolute()) + ".log" if "://" not in wanted.store else "memory-agent.log"
    lines = {f"{job}_command": shlex.join(_command(wanted, job)).replace("%", r"\%") for job in JOBS}
    return _template("cron").substitute(
        lines,
        consolidate_when=wanted.consolidate,
        distill_when=wanted.distill,
        log=shlex.quote(log).replace("%", r"\%"),
    )


_POSTGRES_ENV = """\
                - name: MEMORY_AGENT_STORE
                  valueFrom: {secretKeyRef: {name: memory-agent, key: store}}"""
_FOLDER_ENV = """\
                - {name: MEMORY_AGENT_STORE, value: /data/memory}"""
_MOUNTS = """\
              volumeMounts: [{name: data, mountPath: /data}]"""
_VOLUMES = """\
          volumes: [{name: data, persistentVolumeClaim: {claimName: memory-agent}}]"""


def _kubernetes(wanted: Wanted) -> str:
    remote = wanted.store.startswith(("postgresql://", "postgres://"))
    bare = Wanted(
        executable="memory-agent", store="", user=wanted.user, tenant=wanted.tenant, conditions=wanted.conditions
    )
    jobs = "".join(
        _template("cronjob.yaml").substitute(
            job=job,
            when=wanted.consolidate if job == "consolidate" else wanted.distill,
            timezone=wanted.timezone,
            seconds=3600 if job == "consolidate" else 6 * 3600,
            image=wanted.image,
            memory=f"{wanted.memory}i",
            command=shlex.join(_command(bare, job)),
            store_env=_POSTGRES_ENV if remote else _FOLDER_ENV,
            mounts=_MOUNTS,
            volumes=_VOLUMES,
        )
        for job in JOBS
    )
    needs = "a claim memory-agent for the volume" + (
        ", and a secret memory-agent with the store's URL as `store`" if remote else " that holds the store"
    )
    return _template("kubernetes.yaml").substitute(needs=needs, jobs=jobs.strip())


def _airflow(wanted: Wanted) -> str:
    # A trailing space: Airflow takes a command that ends like a file's name for a template to load.
    commands = {f"{job}_command": json.dumps(shlex.join(_command(wanted, job)) + " ") for job in JOBS}
    return _template("airflow.py.txt").substitute(
        commands, timezone=wanted.timezone, consolidate_when=wanted.consolidate, distill_when=wanted.distill
    )
