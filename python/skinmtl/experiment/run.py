"""What tools/run.py does: an experiment from a manifest to its report, or on from where it was interrupted."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable

from caffe_files.errors import InputError
from skinmtl.common.counting import counted
from skinmtl.common.provenance import made_by
from skinmtl.experiment.beforehand import check_beforehand
from skinmtl.experiment.child import Child, locked
from skinmtl.experiment.configuration import Configuration, configure, differences, write
from skinmtl.experiment.environment import check_snakemake, engine_and_python
from skinmtl.experiment.progress import STAGES, TRAINS, Progress, seconds_text
from skinmtl.experiment.request import Request
from skinmtl.experiment.results import figures_table
from skinmtl.experiment.step_flags import FaultOf
from skinmtl.experiment.workflow import EVENTS, LOG, LOGS, Job, command, last_line, planned, variables

LOOK = 0.2  # seconds between two looks at what has happened


def run_experiment(
    request: Request,
    engine: str | None,
    cores: int,
    arguments: dict[str, Any],
    tell: Callable[[str], None],
    fault_of: FaultOf,
) -> None:
    """Runs what is not done yet, and says so line by line. InputError where something is wrong with what is given,
    before anything is written, or where a stage fails. `fault_of`: see `check_beforehand`."""
    snakemake = check_snakemake()
    engine, python = engine_and_python(engine)
    configuration = configure(request, engine, python)
    check_beforehand(configuration, python, fault_of)
    out = configuration.out
    started = time.monotonic()
    with locked(out, tell) as lock:
        for line in plan_lines(configuration, python, cores):
            tell(line)
        (out / LOGS).mkdir(exist_ok=True)
        changed = differences(configuration)
        record = made_by(arguments)
        record["versions"]["snakemake"] = snakemake
        write(configuration, record)
        jobs = planned(configuration, cores)
        for line in work_lines(jobs, changed):
            tell(line)
        if jobs:
            _run(configuration, jobs, cores, lock, tell)
            tell(f"all done in {seconds_text(time.monotonic() - started)}")
        for line in result_lines(configuration, python):
            tell(line)


def plan_lines(configuration: Configuration, python: Path, cores: int) -> list[str]:
    """What will be done."""
    values, preset, rows = configuration.values, configuration.preset, configuration.manifest.rows
    groups = configuration.n_groups
    lines = [
        f"data      {counted(len(rows), 'image')}, {'no groups' if groups is None else f'{groups} groups (patients)'}, "
        f"{counted(len(configuration.manifest.lesion_names), 'lesion')}, "
        f"{counted(len(configuration.manifest.location_names), 'location')}",
    ]
    if groups is None:
        lines.append(
            "          no group says which images are of one patient, so folds cannot keep patients together: "
            "the figures may be too good"
        )
    some = "" if len(configuration.folds) == configuration.n_folds else f"; only {_listed(configuration.folds)}"
    given = "" if isinstance(values["folds"], int) else f" of {values['folds']}"
    lines.append(f"folds     {configuration.n_folds}{given}{some}")
    lines.append(f"models    {', '.join(configuration.models)}")
    if configuration.variants:
        lines.append(f"variants  of {values['base']}: {', '.join(configuration.variants)}")
    if configuration.seeds > 1:
        times = f"{configuration.seeds} times, from {configuration.seeds} seeds"
        lines.append(f"seeds     each model is trained {times}, on the same data")
    lines.append(f"preset    {preset.name}: {preset.about}")
    said = {
        name: values[name] for name in ("train_images", "short_side", "long_side", "net", "train") if name in values
    }
    lines += [f"          {name}: {value}" for name, value in said.items()]
    lines += [f"          {model}: {settings.get('net', '')}" for model, settings in values["models"].items()]
    place = "the CPU" if values["gpu"] is None else f"GPU {values['gpu']}"
    lines.append(
        f"engine    {values['engine']} in {values['precision']} on {place}, by {python}; {counted(cores, 'core')}"
    )
    if "gpu" in preset.needs and values["gpu"] is None:
        lines.append("          this preset wants a GPU (--gpu 0): on a CPU its iterations take weeks")
    lines.append(f"output    {configuration.shown_out}")
    return [*lines, *(f"note      {note}" for note in configuration.notes)]


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def work_lines(jobs: list[Job], changed: list[str]) -> list[str]:
    """What is to be done, and what of it again."""
    lines = [f"changed   {line}" for line in changed]
    again = [job for job in jobs if any(output.exists() for output in job.outputs)]
    if again:
        lines.append(f"again     {_counted(again)}")
    return [*lines, f"to do     {_counted(jobs)}" if jobs else "to do     nothing: all of it is done"]


def _counted(jobs: list[Job]) -> str:
    counts = Counter(job.rule for job in jobs)
    order = [*STAGES, *sorted(set(counts) - set(STAGES))]
    return ", ".join(f"{counts[rule]} x {STAGES.get(rule, rule)}" for rule in order if counts[rule])


def _run(configuration: Configuration, jobs: list[Job], cores: int, lock: int, tell: Callable[[str], None]) -> None:
    out = configuration.out
    at_once = 1 if configuration.values["gpu"] is not None else cores // configuration.values.get("train_threads", 1)
    progress = Progress(configuration, sum(job.rule in TRAINS for job in jobs), at_once, tell)
    log = out / LOGS / LOG
    child = Child(command(configuration, cores), out, log, lock, variables(out / LOGS / EVENTS))
    try:
        while child.status() is None and not progress.failures:
            progress.look()
            time.sleep(LOOK)
        progress.look()
    except KeyboardInterrupt:
        tell("stopping; a training leaves a snapshot ...")
        child.stop()
        tell("stopped; the same command goes on")
        raise
    finally:
        child.stop()
    if progress.failures:
        raise InputError("\n".join(progress.failures))
    status = child.status() or 0
    if status < 0 or status > 128:  # of the guard itself, or as the guard tells it
        killed_by = signal.Signals(-status if status < 0 else status - 128).name
        raise InputError(f"Snakemake was ended by {killed_by}; the same command goes on")
    if status:
        raise InputError(f"Snakemake ended with status {status}: {last_line(log)} (all of it: {log})")


def result_lines(configuration: Configuration, python: Path) -> list[str]:
    """Where the report is, with the main figures."""
    models = configuration.models
    ensemble = ("ensemble",) if {"resnet50_lesion", "resnet50_mtl"} <= set(models) else ()
    out = shlex.quote(str(configuration.shown_out))
    return [
        *figures_table(
            configuration.out, configuration.folds, (*models, *configuration.variants, *ensemble), configuration.seeds
        ),
        "all of it with the last weights of each training run, final.caffemodel",
        f"report: {configuration.shown_out / 'report' / 'index.html'}",
        f"model of fold {configuration.folds[0]}: {_skinmtl(python)} predict {out} PHOTO",
    ]


def _skinmtl(python: Path) -> str:
    """How to call skinmtl by the Python that has the engine: by its name where PATH finds that one."""
    found, made = shutil.which("skinmtl"), python / "skinmtl"
    if not made.exists() or (found is not None and Path(found).resolve() == made.resolve()):
        return "skinmtl"
    return os.path.relpath(made) if Path.cwd() in made.parents else str(made)
