#!/usr/bin/env python3
"""Kills tools at moments drawn at random, lets them finish, and holds what they made against an undisturbed run.

    .venv/bin/python tests/kills.py            30 kills of make_lmdb, 20 of train on each engine, 15 of score, 5 of the
                                               workflow: more than half an hour on two cores
    .venv/bin/python tests/kills.py --kills 2 make_lmdb score

It needs .caffe (make caffe), and names what it cannot run here. SIGKILL goes to the process alone or to all that it
has started, by a coin. After each kill an output is whole or not there; at the end it is the undisturbed one, nothing
lies beside it, and no process is left. Exits 1 where that does not hold. The same seed draws the same moments.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"
sys.path.insert(0, str(ROOT / "python"))

CAFFE, TORCH = ROOT / ".caffe/bin/python3", ROOT / ".venv/bin/python"
NAMES = ("make_lmdb", "train", "train_torch", "score", "workflow")
IMAGES = 60
PRESET = {
    "about": "one net, to be killed",
    "train_images": "--jitter 73 96 --copies 1",
    "train": "--max-iter 60 --test-interval 20",
    "resamples": 50,
    "usual_models": ["resnet50_lesion"],
}


class Case(NamedTuple):
    """A command that writes `out`, how often it is killed, what of `out` must be equal, and what goes on after a kill.

    `whole` says that `out` may only be there whole.
    """

    command: list
    out: Path
    kills: int
    result: Callable[[Path], object]
    whole: bool = True
    again: tuple = ()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--kills", type=int, help="of each case (default: as above)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default %(default)s)")
    args = parser.parse_args()
    if not set(args.cases) <= set(NAMES):
        parser.error(f"{', '.join(sorted(set(args.cases) - set(NAMES)))}: not one of {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory() as name:
        cases, missing = prepared(Path(name))
        wrong = 0
        for name, reason in missing.items():
            if not args.cases or name in args.cases:
                print(f"{name}: not run: {reason}")
        for name, case in cases.items():
            if not args.cases or name in args.cases:
                wrong += not held(name, case._replace(kills=args.kills or case.kills), random.Random(args.seed))
    return 1 if wrong else 0


def prepared(folder: Path) -> tuple[dict[str, Case], dict[str, str]]:
    """The cases that can be run here, on drawn images, and why others cannot."""
    if not CAFFE.exists():
        return {}, dict.fromkeys(NAMES, "no .caffe: make caffe")
    data, folds, net, solver = folder / "data", folder / "folds.csv", folder / "net", ROOT / "solvers/tiny_mtl.prototxt"
    tool("make_demo_data.py", "--count", IMAGES, "--patients", 20, "--out", data)
    tool("make_folds.py", "--manifest", data / "manifest.csv", "--n-folds", 3, "--out", folds)
    images = ["--manifest", data / "manifest.csv", "--images", data / "images", "--folds", folds, "--fold", 0]
    fit, watched = folder / "fit", folder / "watched"
    of_fit = [*images, "--subset", "train", "--validation", 0.2]
    tool("make_lmdb.py", *of_fit, "--short-side", 73, "--out", fit)
    of_watched = [*images, "--subset", "validation", "--validation", 0.2, "--short-side", 73]
    tool("make_lmdb.py", *of_watched, "--out", watched)
    model = ["--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--batch-size", 8]
    tool("make_prototxt.py", *model, "--train-data", fit, "--test-data", watched, "--out", net)
    training = ["train.py", "--solver", solver, "--net", net, "--max-iter", 60, "--test-interval", 20]
    training += ["--snapshot-interval", 5, "--out"]
    tool(*training, folder / "run")
    jittered = ["make_lmdb.py", *images, "--subset", "train", "--jitter", 73, 96, "--copies", 60, "--workers", 2]
    scored = ["score.py", "--run", folder / "run", *images, "--subset", "test", "--workers", 2, "--out"]
    out = folder / "out"
    cases = {
        "make_lmdb": Case([CAFFE, TOOLS / jittered[0], *jittered[1:], "--out", out], out, 30, contents),
        "train": Case([CAFFE, TOOLS / training[0], *training[1:], out], out, 20, training_result, False, ("--resume",)),
        "score": Case([CAFFE, TOOLS / scored[0], *scored[1:], folder / "s.npz"], folder / "s.npz", 15, scores),
    }
    missing = {}
    if has(TORCH, "torch"):
        command = [TORCH, TOOLS / training[0], *training[1:], out, "--engine", "torch"]
        cases["train_torch"] = Case(command, out, 20, training_result, False, ("--resume",))
    else:
        missing["train_torch"] = "no PyTorch in .venv: make torch"
    if has(TORCH, "snakemake") and has(TORCH, "yaml"):
        command = [
            TORCH,
            TOOLS / "commands.py",
            "run",
            data / "manifest.csv",
            "--images",
            data / "images",
            "--out",
            out,
        ]
        command += ["--preset", preset(folder), "--folds", 2, "--only-fold", 1, "--engine", "caffe"]
        cases["workflow"] = Case(command, out, 5, experiment_result, False)
    else:
        missing["workflow"] = "no Snakemake in .venv: make .venv/ready"
    return cases, missing


def held(name: str, case: Case, chance: random.Random) -> bool:
    """Runs the case; prints a line, and what does not hold."""
    started = time.monotonic()
    done = run_whole(case.command)
    length = time.monotonic() - started
    if done.returncode:
        print(f"{name}: does not end well undisturbed: {done.stderr[-500:]}")
        return False
    expected, beside = case.result(case.out), set(os.listdir(str(case.out.parent)))  # noqa: PTH208
    remove(case.out)
    faults: list[str] = []
    killed = finished = 0
    said = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the program ends)
    while killed < case.kills and not faults:
        again = case.again if case.out.exists() else ()
        said.truncate(0)
        process = subprocess.Popen(
            words([*case.command, *again]), start_new_session=True, stdout=subprocess.DEVNULL, stderr=said
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0, length))
        if process.poll() is None:
            killed += 1
            kill(process, whole_session=chance.random() < 0.5)
            if case.whole and case.out.exists():  # a moment after it was made
                if case.result(case.out) != expected:
                    faults.append(f"kill {killed}: {case.out.name} is there and not whole")
                remove(case.out)
        elif process.returncode == 0:
            finished += 1
            faults += differences(case, expected, beside)
            remove(case.out)
        else:
            said.seek(0)
            words_of_it = said.read().decode(errors="replace").strip()[-500:]
            faults.append(f"after kill {killed}: ended with status {process.returncode}: {words_of_it}")
        faults += [f"kill {killed}: process {pid} is left" for pid in left_of(process.pid)]
    if not faults:
        done = run_whole([*case.command, *(case.again if case.out.exists() else ())])
        if done.returncode:
            faults.append(f"after the last kill: {done.stderr[-500:]}")
        else:
            faults += differences(case, expected, beside)
    remove(case.out)
    print(f"{name}: {killed} kills, {finished + 1} times to its end; ", end="")
    print("; ".join(faults) if faults else "each the same as undisturbed", flush=True)
    return not faults


def differences(case: Case, expected: object, beside: set[str]) -> list[str]:
    """What is not as the undisturbed run left it."""
    found = [] if case.result(case.out) == expected else [f"{case.out.name} is not what the undisturbed run made"]
    left = sorted(set(os.listdir(str(case.out.parent))) - beside)  # noqa: PTH208
    return [*found, *(f"{name} is left beside it" for name in left)]


def kill(process: subprocess.Popen, whole_session: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if whole_session else process.kill()
    process.wait()


def left_of(leader: int, seconds: float = 30) -> list[int]:
    """Processes of a killed one's session that do not end by themselves in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        left = session(leader)
        if not left:
            return []
        time.sleep(0.05)
    return left


def session(leader: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, number = stat.read_text().rpartition(")")[2].split()[:4]
            if int(number) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found


def contents(folder: Path) -> object:
    """Of LMDBs: all records, by their digests; nothing where one cannot be read."""
    import lmdb

    found = {"records.csv": (folder / "records.csv").read_bytes()} if (folder / "records.csv").exists() else {}
    for name in ("image_lmdb", "lesion_lmdb", "location_lmdb"):
        digest = hashlib.sha256()
        try:
            with lmdb.open(
                str(folder / name), readonly=True, lock=False
            ) as environment, environment.begin() as records:
                for key, value in records.cursor():
                    digest.update(key + value)
        except lmdb.Error:
            return None
        found[name] = digest.digest()
    return found


def training_result(run: Path) -> object:
    """The weights, and the log without images a second."""
    log = [line.rpartition(",")[0] for line in (run / "log.csv").read_text().splitlines()]
    return hashlib.sha256((run / "final.caffemodel").read_bytes()).hexdigest(), log


def scores(path: Path) -> object:
    import numpy as np

    with np.load(str(path)) as found:
        return {name: found[name].tobytes() for name in found.files if name != "protocol"}


def experiment_result(out: Path) -> object:
    metrics = json.loads((out / "fold1/resnet50_lesion/metrics.json").read_text())
    return metrics["average_precision"], (out / "report/table1.csv").read_text(), (out / "folds.csv").read_text()


def preset(folder: Path) -> Path:
    """One tiny net that is trained in seconds."""
    made = [str(TORCH), "-c", MAKE_PRESET, str(ROOT / "workflow/presets/tiny.yaml"), json.dumps(PRESET)]
    text = subprocess.run(made, check=True, capture_output=True, text=True).stdout
    (folder / "preset.yaml").write_text(text)
    return folder / "preset.yaml"


MAKE_PRESET = """
import json, sys, yaml
with open(sys.argv[1]) as file:
    preset = yaml.safe_load(file)
print(yaml.safe_dump({**preset, **json.loads(sys.argv[2])}))
"""


def has(python: Path, module: str) -> bool:
    return (
        python.exists() and subprocess.run([str(python), "-c", f"import {module}"], capture_output=True).returncode == 0
    )


def tool(name: str, *arguments: object) -> None:
    done = run_whole([CAFFE, TOOLS / name, *arguments])
    if done.returncode:
        sys.exit(f"kills.py: {name}: {done.stderr[-1000:]}")


def run_whole(command: list) -> subprocess.CompletedProcess:
    return subprocess.run(words(command), capture_output=True, text=True)


def words(command: list) -> list[str]:
    return list(map(str, command))


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(str(path))
    elif path.exists():
        path.unlink()


if __name__ == "__main__":
    sys.exit(main())
