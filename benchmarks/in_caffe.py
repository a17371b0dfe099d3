"""pycaffe in a process of its own, since PyTorch's Python has none: a net made once, and one timed action a line.

As a program (with .caffe's Python): the kind of action, the prototxt, the caffemodel, the .npz of blobs to set, and the
.npz to write. Then each line that it reads is an action; it answers with the seconds that it took, and those of cores.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np

PYTHON = Path(__file__).resolve().parents[1] / ".caffe/bin/python3"


class CaffeProcess:
    """`kind` is step (the prototxt is a solver's) or forward; blobs are those set before, `seen` those after."""

    def __init__(
        self, kind: str, prototxt: Path, weights: Path, blobs: Dict[str, np.ndarray], seen: List[str], threads: int
    ) -> None:
        given, self._out = (prototxt.with_name(f"{kind}_{name}.npz") for name in ("given", "seen"))
        np.savez(str(given), **blobs)
        environment = {**os.environ, "GLOG_minloglevel": "2", "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": str(threads)}
        command = [str(PYTHON), __file__, kind, *map(str, (prototxt, weights, given, self._out)), *seen]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.version = self._answer()

    def seconds(self) -> np.ndarray:
        """Of one action, and of cores."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return np.array(self._answer().split(), float)

    def _answer(self) -> str:
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError("Caffe gave up; what it said stands above")
        return answer

    def seen(self) -> Dict[str, np.ndarray]:
        """The blobs after the last action."""
        with np.load(str(self._out)) as archive:
            return dict(archive.items())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def clocks() -> np.ndarray:
    """The time, and how long cores have worked for this process: the second is steadier where others work too, if
    GOMP_SPINCOUNT is 0, so that PyTorch's threads do not count while they wait.
    """
    return np.array([time.perf_counter(), time.process_time()])


def opened(caffe: Any, kind: str, prototxt: str, weights: str) -> "tuple[Any, Callable[[], Any]]":
    """The net and the action."""
    if kind == "forward":
        net = caffe.Net(prototxt, caffe.TEST, weights=weights)
        return net, net.forward
    solver = caffe.SGDSolver(prototxt)
    solver.net.copy_from(weights)
    return solver.net, lambda: solver.step(1)


def main(kind: str, prototxt: str, weights: str, given: str, out: str, *seen: str) -> None:
    import caffe

    caffe.set_mode_cpu()
    net, action = opened(caffe, kind, prototxt, weights)
    for name, values in np.load(given).items():
        net.blobs[name].reshape(*values.shape)
        net.blobs[name].data[...] = values
    print(f"Caffe {caffe.__version__}", flush=True)
    for _ in sys.stdin:
        started = clocks()
        action()
        taken = clocks() - started
        np.savez(out, **{name: net.blobs[name].data for name in seen})
        print(*taken, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
