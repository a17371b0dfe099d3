"""Snakemake's command on an experiment, and what its plugin tells of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from caffe_files.errors import InputError
from skinmtl.experiment.configuration import CONFIG, Configuration
from skinmtl.experiment.places import WORKFLOW

LOGS = "logs"
EVENTS, LOG = "events.jsonl", "snakemake.log"


@dataclass(frozen=True)
class Job:
    """One job of the workflow: a rule, on a fold and with a model where it has such."""

    number: int
    rule: str
    wildcards: dict[str, str] = field(default_factory=dict)
    outputs: tuple[Path, ...] = ()
    log: Path | None = None


def command(configuration: Configuration, cores: int, *arguments: str) -> list[str]:
    """Snakemake on the experiment: by this Python, with its records in OUT; our own lock is in place of its."""
    out = configuration.out
    return [
        *(sys.executable, "-P", "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile"), "--directory", str(out)),
        *("--configfile", str(out / CONFIG), "--cores", str(cores), "--nolock", "--logger", "skinmtl", *arguments),
    ]


def variables(events: Path) -> dict[str, str]:
    """The environment that makes Snakemake tell what it does."""
    behind = os.environ.get("PYTHONPATH")
    return {
        "SKINMTL_EVENTS": str(events),
        "PYTHONPATH": str(WORKFLOW) if behind is None else os.pathsep.join([str(WORKFLOW), behind]),
    }


def planned(configuration: Configuration, cores: int) -> list[Job]:
    """The jobs that are still to be done, or to be done again."""
    events = configuration.out / LOGS / f"plan.{EVENTS}"
    events.write_text("", encoding="utf-8")
    done = subprocess.run(
        command(configuration, cores, "--dry-run"),
        env={**os.environ, **variables(events)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    jobs = [job_of(event) for event in read_events(events, 0)[0] if event["event"] == "job_info"]
    events.unlink()
    if done.returncode != 0:
        log = configuration.out / LOGS / LOG
        log.write_text(done.stdout, encoding="utf-8")
        raise InputError(f"Snakemake cannot plan the experiment: {last_line(log)}; {log} has it all")
    return [job for job in jobs if job.rule != "all"]


def read_events(path: Path, start: int) -> tuple[list[dict[str, Any]], int]:
    """The events from byte `start` on, and where the next will be; a line that is being written waits."""
    with open(str(path), "rb") as file:
        file.seek(start)
        lines = file.read().split(b"\n")
    whole = lines[:-1]
    return [json.loads(line.decode("utf-8")) for line in whole], start + sum(len(line) + 1 for line in whole)


def job_of(event: dict[str, Any]) -> Job:
    """The job of a job_info."""
    logs = event["log"] or []
    return Job(
        number=int(event["jobid"]),
        rule=event["rule_name"],
        wildcards=dict(event["wildcards"] or {}),
        outputs=tuple(Path(output) for output in event["output"] or ()),
        log=Path(logs[0]) if logs else None,
    )


def last_line(log: Path) -> str:
    """What a log says last: a tool's own line where there is one, and no place in a program (`File "...", line`)."""
    lines = [line for line in _lines(log) if not line.startswith('File "')]
    own = [line for line in lines if line.partition(": ")[0].endswith(".py") and " " not in line.partition(": ")[0]]
    return (own or lines or ["it says nothing"])[-1]


def _lines(log: Path) -> Iterator[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        if line.strip():
            yield line.strip()
