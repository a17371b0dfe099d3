"""The folder of one training: what is in it, who may write to it, and with what it was begun."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Iterator

from caffe_files.errors import InputError
from caffe_files.inputs import own_file
from caffe_files.outputs import disk_errors, new_file
from skinmtl.common.json_file import read_json, write_json
from skinmtl.layers.settings import without_pace
from skinmtl.training.snapshots import last_whole, to_disk

LOCK = ".lock"
# what may be set otherwise when a run goes on: neither weights nor log up to there depend on it
MAY_DIFFER = ("max_iter", "snapshot_interval", "keep_snapshots")
WHOLE, REAL = ("max_iter", "batch_size", "iter_size", "seed"), ("base_lr",)  # of the settings, those that are used
LARGEST = 2**53
REMEDY = "train anew in another folder"
OF_ENGINE = ("engine", "precision")
KEPT_LATER = ("deploy.prototxt", "net.json")  # runs from before their sums were kept have none
BEFORE = {"engine": "caffe", "precision": "fp32"}  # of runs from when there was no other


class RunFolder:
    """The paths of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.args = path / "args.json"
        self.solver = path / "solver.prototxt"
        self.log = path / "log.csv"
        self.curves = path / "curves.png"
        self.snapshots = path / "snapshots"
        self.best = path / "best.caffemodel"
        self.final = path / "final.caffemodel"

    def phase_net(self, number: int) -> Path:
        """The training net of a phase, from 0, where a training has phases."""
        return self.path / f"phase_{number + 1}.prototxt"

    def check_new(self, resume: bool) -> None:
        """InputError where something is there that a new run would overwrite, or that is no run to resume."""
        if not self.path.exists() and not self.path.is_symlink():
            return
        if not self.path.is_dir():
            raise InputError(f"{self.path}: is there and is no folder; name another place")
        if not self.args.exists():
            # hidden: the lock, or what a kill left before there was an args.json
            if any(not path.name.startswith(".") for path in self.path.iterdir()):
                raise InputError(f"{self.path}: has files in it but no args.json of a run; name another folder")
        elif not resume:
            raise InputError(f"{self.path}: holds a run already; go on with it by --resume, or name another folder")

    def is_run(self) -> bool:
        """Whether there is an args.json that can be read as a run's."""
        try:
            return self.args.is_file() and bool(self.read_args())
        except InputError:
            return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder where it is not there, and keeps other processes out of it while the block runs."""
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            written = (self.args, self.solver, self.log, self.curves, self.best, self.final)
            written += tuple(self.path.glob("phase_*.prototxt"))
            for path in (*written, *(self.snapshots.iterdir() if self.snapshots.is_dir() else ())):
                own_file(path)
            lock = open(str(own_file(self.path / LOCK)), "w")  # noqa: SIM115  (held until the run ends)
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another process is training there; wait, or stop that one") from None
            with disk_errors(self.path):
                if not os.path.samestat(os.fstat(lock.fileno()), (self.path / LOCK).stat()):
                    raise InputError(f"{self.path}: another process has just renamed it; start again")
            yield

    def write_args(self, record: dict[str, Any]) -> None:
        """Writes args.json, and makes the folder for snapshots."""
        with new_file(self.args) as partial:
            write_json(partial, record)
        self.snapshots.mkdir(exist_ok=True)

    def read_args(self) -> dict[str, Any]:
        """What args.json holds."""
        record = read_json(self.args, REMEDY)
        for name, is_sound in _SOUND.items():
            if not (is_sound(record[name]) if name in record else name in MAY_LACK):
                raise InputError(f"{self.args}: cannot be read as a run's arguments ({name}); {REMEDY}")
        record["settings"] = {**BEFORE, **record["settings"]}
        return record

    def engines(self) -> list[dict[str, Any]]:
        """Which engine made the run so far, by the iteration from which on."""
        begun = self.read_args()
        of_old = {"engine": f"caffe {begun.get('versions', {}).get('caffe')}", "precision": "fp32"}
        return begun.get("engines") or [{"from_iteration": 0, **of_old}]

    def difference(self, record: dict[str, Any], change_engine: bool = False) -> str:
        """What keeps `record` from going on with the run, in words: the first setting or input file that is not as
        the run was begun with, or fewer iterations than are done; nothing where it can. With `change_engine` the engine
        and its precision may be others."""
        may_differ = (*MAY_DIFFER, *(OF_ENGINE if change_engine else ()))
        begun = self.read_args()
        before, now = (each["settings"].get("phases") for each in (begun, record))
        if before != now:  # which decide other settings too
            return "its phases were others" if before and now else f"it had {'' if before else 'no '}phases"
        for part in ("settings", "sha256"):
            for name in {**begun[part], **record[part]}:
                before, now = begun[part].get(name), record[part].get(name)
                if part == "sha256" and before is None and name in KEPT_LATER:
                    continue
                if before != now and name == "schedule_until":
                    return f"its learning rate falls until iteration {before}, now until {now}"
                if before != now and name not in may_differ:
                    return f"{name} was {before}, is {now}" if part == "settings" else f"{name} is another file"
        wanted = record["settings"]["max_iter"]
        if begun["settings"].get("max_iter", 0) > wanted:
            last, _ = last_whole(self.snapshots)
            if last and last.iteration > wanted:
                return f"{last.iteration} iterations are done, max_iter is {wanted}"
        return ""

    def check_same(self, record: dict[str, Any], change_engine: bool = False) -> None:
        """InputError names the first difference."""
        what = self.difference(record, change_engine)
        if what:
            of_engine = what.startswith(tuple(f"{name} was" for name in OF_ENGINE))
            go_on = " say --change-engine to go on," if of_engine else ""
            raise InputError(
                f"{self.path}: was begun with other arguments: {what}; give the same,{go_on} name another folder, or "
                "let --set-aside rename it"
            )

    def set_aside(self) -> Path:
        """Renames the folder to the first free NAME.before-1, -2, ...; nothing is deleted."""
        with self.locked():
            names = (self.path.with_name(f"{self.path.name}.before-{number}") for number in count(1))
            aside = next(path for path in names if not path.exists())
            with disk_errors(aside):
                self.path.rename(aside)
        return aside

    def check_space(self, needed: int) -> None:
        """InputError where the disk has no room for `needed` bytes: Caffe would end the process half-way."""
        free = shutil.disk_usage(str(self.snapshots)).free
        if free < needed:
            raise InputError(
                f"{self.snapshots}: the disk has {free / 1e6:.1f} MB left, a snapshot takes {needed / 1e6:.1f}; free "
                "some space and go on with --resume"
            )

    def write_best(self, caffemodel: Path) -> None:
        """A snapshot's caffemodel as best.caffemodel too: the same file where the disk has links, else a copy."""
        with new_file(self.best) as partial:
            partial.unlink()
            try:
                os.link(str(caffemodel), str(partial))
            except OSError:
                shutil.copyfile(str(caffemodel), str(partial))
                to_disk(partial)

    def note_best(self, best: dict[str, Any]) -> None:
        """Says in args.json what best.caffemodel is."""
        record = self.read_args()
        if record.get("best") != best:
            self.write_args({**record, "best": best})

    def remove_best(self) -> None:
        """Removes best.caffemodel, and what args.json says of it."""
        if self.best.exists():
            self.best.unlink()
        record = self.read_args()
        if record.pop("best", None):
            self.write_args(record)

    def write_final(self, caffemodel: Path) -> None:
        """The last snapshot's caffemodel as final.caffemodel, which marks the run as finished."""
        with new_file(self.final) as partial:
            shutil.copyfile(str(caffemodel), str(partial))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_settings(value: Any) -> bool:
    """Those of WHOLE and REAL are numbers, where they are there."""
    return _is_object(value) and all(
        type(value[name]) in kinds and abs(value[name]) <= LARGEST
        for kinds, names in (((int,), WHOLE), ((int, float), REAL))
        for name in names
        if name in value
    )


def _is_layers(value: Any) -> bool:
    return _is_object(value) and all(isinstance(value.get(name), list) for name in ("filled", "initial", "unused"))


def _is_engines(value: Any) -> bool:
    return isinstance(value, list) and all(_is_object(one) and type(one.get("from_iteration")) is int for one in value)


_SOUND = {
    **dict.fromkeys(("sha256", "arguments", "versions", "data", "best"), _is_object),
    "settings": _is_settings,
    "layers": _is_layers,
    "engines": _is_engines,
    "weights": lambda value: isinstance(value, list),
}
MAY_LACK = ("arguments", "versions", "data", "best", "engines", "layers", "weights")  # of older runs


def net_sha256(path: Path) -> str:
    """Of the file's text without what decides its layers' pace alone: a run may go on with fewer workers."""
    return hashlib.sha256(without_pace(path.read_bytes().decode("utf-8")).encode("utf-8")).hexdigest()


def engines_used(before: list[dict[str, Any]], engine: dict[str, Any], iteration: int) -> list[dict[str, Any]]:
    """What `before` says of earlier iterations, and that `engine` makes those after `iteration`."""
    kept = [one for one in before if one["from_iteration"] < iteration]
    if kept and {**kept[-1], **engine} == kept[-1]:
        return kept
    return [*kept, {"from_iteration": iteration, **engine}]
