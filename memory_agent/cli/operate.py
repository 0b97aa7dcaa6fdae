"""Verbs for whoever runs it: `daemon`, `worker`, `queue`, `schedule`, `move`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli.place import Place, verb
from memory_agent.cli.when import Budget, Deadline, Idle, Least, conditions

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.protocols import JobQueue

queue_app = typer.Typer(help="The queue that workers share, of stores that have one.", no_args_is_help=True)
schedule_app = typer.Typer(help="Units for schedulers that are there already.", no_args_is_help=True)

Consolidate = Annotated[str, typer.Option(help="When to look for turns to read: a cron expression or 15m; '' never.")]
Distill = Annotated[str, typer.Option(help="When to look for facts to teach: a cron expression or 6h; '' never.")]
Timezone = Annotated[str, typer.Option(help="Time zone of the cron expressions, e.g. Europe/Lisbon.")]
Grace = Annotated[float, typer.Option(min=0, help="Seconds a distillation may go on after SIGTERM.")]
MetricsPort = Annotated[
    int, typer.Option(min=0, max=65535, help="Serve Prometheus metrics on this port of this machine; 0 for none.")
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (daemon, worker, move):
        verb(app)(function)
    verb(queue_app)(show)
    verb(queue_app)(add)
    verb(queue_app)(retry)
    app.add_typer(queue_app, name="queue")
    verb(schedule_app, "print")(print_unit)
    app.add_typer(schedule_app, name="schedule")


def daemon(
    place: Place,
    consolidate: Consolidate = "*/15 * * * *",
    distill: Distill = "30 3 * * *",
    timezone: Timezone = "UTC",
    min_new: Least = 1,
    idle: Idle = None,
    budget: Budget = None,
    deadline: Deadline = None,
    queue: Annotated[bool, typer.Option("--queue", help="Hand what is due to the workers' queue.")] = False,
    grace: Grace = 25.0,
    metrics_port: MetricsPort = 0,
) -> None:
    """Consolidate and distil when it is due, for one user or all of the store, until interrupted."""
    from memory_agent.cli.running import run_daemon

    due = conditions(least=min_new, idle=idle, budget=budget, deadline=deadline)
    run_daemon(
        place, {"consolidate": consolidate, "distill": distill}, timezone, due, queue=queue, grace=grace,
        metrics_port=metrics_port,
    )  # fmt: skip


def worker(
    place: Place,
    lease: Annotated[float, typer.Option(min=1, help="Seconds after which a dead worker's job is taken over.")] = 60.0,
    attempts: Annotated[int, typer.Option(min=1, help="Attempts after which a job is set aside.")] = 3,
    find: Annotated[float, typer.Option(min=0, help="Seconds between looks for users with turns to read; 0: none.")] = (
        60.0
    ),
    drain: Annotated[bool, typer.Option("--drain", help="Leave when nothing is ready.")] = False,
    grace: Grace = 25.0,
    metrics_port: MetricsPort = 0,
) -> None:
    """Take jobs from the store's queue and run them, beside any number of others, until interrupted."""
    from memory_agent.cli.running import run_worker
    from memory_agent.scheduling.worker import Terms

    terms = Terms(lease=lease, most=attempts, find_every=find)
    done = run_worker(place, terms, drain=drain, grace=grace, metrics_port=metrics_port)
    place.emit({"tasks": done}, lambda out: out.print(f"{done} tasks carried out."))


@contextmanager
def _queue(place: Place) -> Iterator[JobQueue]:
    """The queue of the place's store. Raises InvalidInput when it has none."""
    from memory_agent.cli.running import queue_of
    from memory_agent.config import Settings
    from memory_agent.space import open_backend

    backend = open_backend(Settings.load(store=place.store).store)
    try:
        yield queue_of(backend)
    finally:
        backend.index.close()
        backend.ledger.close()


def show(place: Place) -> None:
    """Show how many jobs are ready, running, done and set aside, and why those are."""
    with _queue(place) as queue:
        found: dict[str, Any] = {**queue.counts(), "set_aside": [asdict(task) for task in queue.dead()]}

    def tell(out: Console) -> None:
        out.print(", ".join(f"{found[state]} {state}" for state in ("ready", "running", "done", "dead")))
        for task in found["set_aside"]:
            out.print(f"{task['id']}  {task['job']} of {task['space']}: {task['error']}", markup=False)

    place.emit(found, tell)


def add(
    place: Place,
    job: Annotated[str, typer.Argument(help="consolidate, or distill.")],
) -> None:
    """Put a job into the queue, for one user or for all of the store, where it does not stand already."""
    from memory_agent.config import Settings
    from memory_agent.errors import InvalidInput
    from memory_agent.scheduling import JOBS
    from memory_agent.space import open_backend, space_key

    if job not in JOBS:
        raise InvalidInput(f"{job!r} is no job: {' or '.join(JOBS)}")
    settings = Settings.load(store=place.store, tenant=place.tenant)
    with _queue(place) as queue:
        if place.user:
            spaces = [space_key(settings.tenant, place.user)]
        else:
            backend = open_backend(settings.store)
            spaces = backend.ledger.spaces()
            backend.index.close()
            backend.ledger.close()
        added = queue.put(job, spaces)
    place.emit({"added": added}, lambda out: out.print(f"{added} added, {len(spaces) - added} stood there already."))


def retry(place: Place, id: Annotated[int, typer.Argument(help="The job's id, from `queue show`.")]) -> None:
    """Put a job that was set aside back into the queue."""
    from memory_agent.errors import NotFound

    with _queue(place) as queue:
        if not queue.retry(id):
            raise NotFound(f"no job {id} was set aside, or one like it waits or runs")
    place.emit({"retried": id}, lambda out: out.print(f"Job {id} is ready again."))


def print_unit(
    place: Place,
    form: Annotated[str, typer.Argument(help="systemd, cron, kubernetes or airflow.")],
    consolidate: Consolidate = "*/15 * * * *",
    distill: Distill = "30 3 * * *",
    timezone: Timezone = "UTC",
    min_new: Least = 1,
    idle: Idle = None,
    budget: Budget = None,
    deadline: Deadline = None,
    image: Annotated[str, typer.Option(help="Container image, for kubernetes.")] = "slowwave:latest",
    memory: Annotated[str, typer.Option(help="Most memory it may take, e.g. 6G.")] = "6G",
) -> None:
    """Print a unit that works as it is, for all users of the store or the one of --user."""
    from memory_agent.cli.running import wanted_unit
    from memory_agent.errors import InvalidInput
    from memory_agent.scheduling.units import FORMS, unit

    known = next((each for each in FORMS if each == form), None)
    if known is None:
        raise InvalidInput(f"{form!r} is none of {', '.join(FORMS)}")
    conditions(least=min_new, idle=idle, budget=budget, deadline=deadline)
    given = {"--min-new": str(min_new) if min_new > 1 else None, "--idle": idle, "--budget": budget}
    options = [word for name, value in {**given, "--deadline": deadline}.items() if value for word in (name, value)]
    text = unit(known, wanted_unit(place, consolidate, distill, timezone, options, image=image, memory=memory))
    place.emit({"form": form, "unit": text}, lambda out: typer.echo(text, nl=False))


def move(
    place: Place,
    source: Annotated[str, typer.Argument(help="Path or URL of the store to read.")],
    target: Annotated[str, typer.Argument(help="Path or URL of the store to fill.")],
) -> None:
    """Copy a store into another kind of store, without loss; with --user only that user's memories."""
    from memory_agent.config import Settings
    from memory_agent.moving import move as move_store
    from memory_agent.space import space_key

    settings = Settings.load(tenant=place.tenant)
    space = space_key(settings.tenant, place.user) if place.user else None
    with place.progress("Moving") as progress:
        report = move_store(source, target, space=space, progress=progress)

    def tell(out: Console) -> None:
        rows = ", ".join(f"{n} {kind}" for kind, n in report.rows.items()) or "nothing"
        out.print(f"{len(report.spaces)} spaces: {rows}, {report.vectors} vectors, {report.files} files.", markup=False)
        if report.already_there:
            out.print(f"{len(report.already_there)} were there already.", markup=False)
        out.print("The source is as it was; remove it when you no longer need it.", style="dim")

    place.emit(report, tell)
