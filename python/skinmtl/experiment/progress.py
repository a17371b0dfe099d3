"""One line for each stage as it begins and ends, one for each validation test, and how long all trainings will take."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Callable

from skinmtl.experiment.configuration import Configuration
from skinmtl.experiment.trainings import Training
from skinmtl.experiment.workflow import EVENTS, LOGS, Job, job_of, last_line, read_events
from skinmtl.training.telling import duration

# rule -> what it does, for people; a rule that is not here is told by its own name
STAGES = {
    "folds": "folds",
    "describe": "description of the data",
    "leakage": "leak check",
    "training_data": "training LMDBs",
    "training_data_of_variant": "training LMDBs of its own",
    "validation_data": "validation LMDBs",
    "net": "net",
    "train": "training",
    "train_again": "training from another seed",
    "score": "test scores",
    "score_again": "test scores of another seed",
    "ensemble": "scores of the ensemble",
    "ensemble_again": "scores of the ensemble of another seed",
    "evaluate": "metrics",
    "evaluate_again": "metrics of another seed",
    "features": "features",
    "neighbours": "nearest images",
    "attention": "attention maps",
    "errors": "list of errors",
    "error_maps": "maps of the errors",
    "maps": "maps of all test images",
    "maps_in_masks": "maps against masks",
    "figure3": "Figure 3",
    "report": "report",
    "export": "model folder",
}
SHORT = 4.0  # seconds: what takes less is told when it has ended, and not before
SILENT = ("all",)
TRAINS = ("train", "train_again")


class Progress:
    """Turns Snakemake's events and the trainings' logs into lines."""

    def __init__(self, configuration: Configuration, trainings: int, at_once: int, tell: Callable[[str], None]) -> None:
        self._path = configuration.out / LOGS / EVENTS
        self._path.write_text("", encoding="utf-8")
        self._tell, self._trainings, self._at_once = tell, trainings, max(1, min(at_once, trainings))
        self._started = time.monotonic()
        self._read = 0
        self._running: dict[int, tuple[Job, float]] = {}
        self._told: set[int] = set()
        self._watched: dict[int, tuple[str, Training]] = {}
        self._estimated = False
        self.failures: list[str] = []

    def look(self) -> None:
        """Tells what has happened since the last look."""
        events, self._read = read_events(self._path, self._read)
        for event in events:
            getattr(self, f"_{event['event']}", lambda event: None)(event)
        for number, (job, since) in self._running.items():
            if number not in self._told and time.monotonic() - since > SHORT:
                self._begins(job)
        for number in self._watched:
            self._news(number)

    def _job_info(self, event: dict[str, Any]) -> None:
        job = job_of(event)
        if job.rule in SILENT:
            return
        self._running[job.number] = job, time.monotonic()
        if job.rule in TRAINS:
            self._watched[job.number] = _where(job), Training(job.outputs[0].parent, job.log)
            self._begins(job)

    def _begins(self, job: Job) -> None:
        self._told.add(job.number)
        self._say(f"{title(job)} ...")

    def _job_finished(self, event: dict[str, Any]) -> None:
        number = int(event["job_id"])
        if number not in self._running:
            return
        job, since = self._running.pop(number)
        words = [f"{title(job)} done", seconds_text(time.monotonic() - since)]
        if number in self._watched:
            self._news(number)
            words.append(f"{self._watched.pop(number)[1].iteration} iterations")
        elif job.rule == "leakage":
            words.append(_leaks(job.outputs[0]))
        self._say(", ".join(words))

    def _job_error(self, event: dict[str, Any]) -> None:
        job, _ = self._running.pop(int(event["jobid"]), (None, 0))
        log = Path((event["log"] or ["?"])[0])
        where = title(job) if job else event["rule_name"]
        self.failures.append(f"{where} failed: {last_line(log)} (all of it: {log})")

    def _news(self, number: int) -> None:
        where, training = self._watched[number]
        first = None if self._estimated else training.first_iterations()
        if first:
            self._estimated = True
            iterations, seconds, most = first
            total = duration(seconds / iterations * most * self._trainings / self._at_once)
            trainings = (
                f"1 training run of {most} iterations takes"
                if self._trainings == 1
                else f"{self._trainings} training runs of {most} iterations each, {self._at_once} at a time, take"
            )
            self._say(
                f"{where}: the first {iterations} iterations took {seconds_text(seconds)} on this machine; "
                f"{trainings} about {total} at this speed, without tests"
            )
        for line in training.news():
            self._say(f"{where}: {line}")

    def _say(self, line: str) -> None:
        self._tell(f"{_clock(time.monotonic() - self._started)}  {line}")


def title(job: Job) -> str:
    """For people: "fold 0, resnet50_mtl: training"."""
    where, stage = _where(job), STAGES.get(job.rule, job.rule)
    return f"{where}: {stage}" if where else stage


def _where(job: Job) -> str:
    words = [f"{name} {job.wildcards[name]}" for name in ("fold", "seed") if name in job.wildcards]
    return ", ".join(
        [*words, *(job.wildcards[name] for name in ("model", "scored", "subset") if name in job.wildcards)]
    )


def _leaks(path: Path) -> str:
    found = json.loads(path.read_text(encoding="utf-8"))
    alone = found.get("without_group", 0)
    unknown = f"; {alone} images have no group, so siblings of theirs are unknown" if alone else ""
    return f"{found['leaking']} of {found['images']} test images have a sibling in training{unknown}"


def seconds_text(seconds: float) -> str:
    """A time for people, with tenths of a second where it is short."""
    return f"{seconds:.1f} s" if seconds < 9.95 else duration(seconds)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
