"""Damaged .pth files: weights, or InputError; what keeps PyTorch busy for ever is given up by the trial beforehand."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from fuzzing import mutated_bytes

torch = pytest.importorskip("torch")
SECONDS = 5  # of the processor, for one case
PROGRAM = """
import random, signal, sys, warnings
sys.path[:0] = sys.argv[1:3]
import test_torch_checkpoint_fuzz as fuzz
fuzz.work(*sys.argv[3:])
"""


def saved(**how):
    file = io.BytesIO()
    torch.save(
        {"epoch": 3, "state_dict": {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2).half()}}, file, **how
    )
    return file.getvalue()


def mutated_checkpoint(chance, data):
    """A zip's members, or the bytes."""
    if chance.random() < 0.3 or not data.startswith(b"PK"):
        return mutated_bytes(chance, data)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith("data.pkl") or chance.random() < 0.05:
                content = mutated_bytes(chance, content)
            changed.writestr(name, content)
    return made.getvalue()


def work(folder, begin, end):
    """In a process of its own: prints each case's number and what came of it; SIGPROF ends it."""
    import random
    import signal

    from caffe_files.errors import InputError
    from skinmtl.pretrained.checkpoint import tensors_of

    seeds = [saved(), saved(_use_new_zipfile_serialization=False)]
    path = Path(folder) / "w.pth"
    for number in range(int(begin), int(end)):
        data = mutated_checkpoint(random.Random(f"w.pth {number}"), seeds[number % 2])
        path.write_bytes(data)
        print(number, end=" ", flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            tensors_of(path)
            print("read")
        except InputError as error:
            print("refused" if "w.pth" in str(error) and len(str(error).splitlines()) == 1 else f"fault {error}")
        except MemoryError:
            print("memory")
        except Exception as error:
            print(f"fault {type(error).__name__} {' '.join(str(error).split())[:200]}")
        signal.setitimer(signal.ITIMER_PROF, 0)


def test_damaged_checkpoints(fuzzer):
    at, faults, busy, counts = 0, [], [], {"read": 0, "refused": 0, "memory": 0}
    fixed = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(ROOT / "tests"), str(fuzzer.folder)]
    places = [str(ROOT / "python"), str(ROOT / "tests" / "helpers")]
    while at < fuzzer.cases:
        done = subprocess.run(
            [*fixed, str(at), str(fuzzer.cases)],
            capture_output=True,
            encoding="utf-8",
            timeout=600,
            env={"PYTHONPATH": ":".join(places), "OMP_NUM_THREADS": "1"},
        )
        for line in done.stdout.splitlines():
            number, _, what = line.partition(" ")
            at = int(number) + 1
            if what in counts:
                counts[what] += 1
            elif what:
                faults.append(line)
            else:
                busy.append(number)
        assert done.returncode in (0, -27), done.stderr[-2000:]  # SIGPROF
    assert not faults, faults[:5]
    assert len(busy) <= 1 + fuzzer.cases // 200, busy
    assert min(counts["read"], counts["refused"]) > 0
