"""pycaffe's solver as the driver of a training sees it; TorchSolver has the same methods.

Caffe's Data layers start at record 0 in every process. Here a restored solver is brought to where the data stood by
forwarding the Data layers alone, which holds for any LMDB. They also draw crops and mirrors, and Dropout draws masks:
forwarded as often as in the run so far, with the seed of the run, they draw the same again, and the resumed training
is the undisturbed one, bit by bit on the CPU. Shorter is to stop at the same record after less than one cycle through
the data, under another seed, so that crops do not repeat: the same images in the same order, cropped otherwise.

JitteredImageData is told the seed and the number of images so far; it needs no replay, since what it draws is a
function of the two.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any, Iterator

import numpy as np
from google.protobuf.message import DecodeError, Message
from tqdm import tqdm

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from caffe_files.schema import caffe_messages
from skinmtl.engines.caffe_engine import pycaffe, pycaffe_on
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.snapshots import Snapshot
from skinmtl.training.solver_file import effective_solver, solver_text

REPLAYED = ("Data", "Dropout")  # the layers whose outputs depend on how often they were forwarded


class CaffeSolver:
    """One training in Caffe: the solver, its net, and a test net that shares the weights.

    seed and passes say where the data stands: the Data layers of the net, built under `seed`, have been forwarded
    `passes` times.
    """

    reads_again = True  # to find its place in the data

    def __init__(
        self, given: Message, inputs: TrainingInputs, solver_path: Path, prefix: Path, max_iter: int, gpu: int | None
    ) -> None:
        caffe = pycaffe_on(gpu)
        self.seed = self.passes = 0
        self._given, self._inputs, self._max_iter = given, inputs, max_iter
        self._solver_path, self._prefix = solver_path, prefix
        self._solver: Any = None
        self._jittered: list[Any] = []
        self._every_pass: list[dict[str, float]] = []
        # before the solver, whose seed decides all that is drawn from then on
        self._test_net = caffe.Net(str(inputs.test_net), caffe.TEST)

    @property
    def iteration(self) -> int:
        """How many times the weights have been updated."""
        return int(self._solver.iter)

    @property
    def images_per_iteration(self) -> int:
        """Batch x iter_size."""
        return self._inputs.batch_size * self._given.iter_size

    def start(self, weights: list[Path], rate: float, seed: int) -> None:
        """Builds the solver at iteration 0, with each caffemodel's layers copied by name."""
        self._build(rate, seed)
        for caffemodel in weights:
            self._solver.net.copy_from(str(caffemodel))

    def restore(self, snapshot: Snapshot, rate: float, seed: int, passes: int) -> None:
        """Builds the solver anew at a snapshot, under `seed`, with the data `passes` passes on."""
        self._build(rate, seed)
        self._restore_state(snapshot)
        net = self._solver.net
        replayed = [number for number, layer in enumerate(net.layers) if layer.type in REPLAYED]
        for layer in self._jittered:
            layer.begin(seed, passes * self._inputs.batch_size)
        for _ in tqdm(range(passes), "finding the place in the data", unit="batch", disable=None, leave=False):
            for number in replayed:
                net._forward(number, number)
        self.passes = passes

    def passes_of_cycle(self, iteration: int) -> int:
        """The fewest passes after which the data stands as after `iteration` iterations."""
        return iteration * self._given.iter_size % self._inputs.cycle

    def set_rate(self, rate: float) -> bool:
        """Sets the learning rate in place; False where this pycaffe cannot (release 1.0)."""
        try:
            self._solver.param.base_lr = rate
        except AttributeError:
            return False
        return True

    def step(self) -> dict[str, float]:
        """One iteration; the losses by head, each the mean over the iteration's passes."""
        self._every_pass.clear()
        self._solver.step(1)
        self.passes += self._given.iter_size
        passes = self._every_pass or [self._losses(self._solver.net)]
        return {head: sum(losses[head] for losses in passes) / len(passes) for head in self._inputs.names}

    def test_batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Forwards the validation set once with the weights as they are; yields for each batch, by blob name,
        fc_HEAD (N, outputs), HEAD_label (N, P or 1) and HEAD_loss ()."""
        self._test_net.share_with(self._solver.net)
        for _ in range(self._inputs.test_passes):
            self._test_net.forward()
            blobs = {}
            for head in self._inputs.names:
                for name in (f"fc_{head}", f"{head}_label", f"{head}_loss"):
                    blobs[name] = np.array(self._test_net.blobs[name].data)
                blobs[f"{head}_label"] = blobs[f"{head}_label"].reshape(len(blobs[f"{head}_label"]), -1)
            yield blobs

    def weights_are_finite(self) -> bool:
        """Whether no parameter is NaN or infinite."""
        return all(np.isfinite(blob.data).all() for blobs in self._solver.net.params.values() for blob in blobs)

    def snapshot_bytes(self) -> int:
        """About how large a snapshot is: the parameters, and their history."""
        values = sum(blob.count for blobs in self._solver.net.params.values() for blob in blobs)
        histories = 2 if self._given.type in ("AdaDelta", "Adam") else 1  # these keep two values a parameter
        return (1 + histories) * 4 * values + (1 << 20)

    def snapshot(self) -> Path:
        """Writes caffemodel and solverstate; returns their path without the suffix."""
        self._solver.snapshot()
        return self._prefix.with_name(f"{self._prefix.name}_iter_{self.iteration}")

    def close(self) -> None:
        """Ends reading threads and worker processes, and closes LMDBs, which no process may open twice."""
        for layer in self._jittered:
            layer.close()
        self._jittered = []
        self._solver = None

    def _build(self, rate: float, seed: int) -> None:
        self.close()
        solver = effective_solver(self._given, self._inputs.train_net, rate, self._max_iter, self._prefix, seed)
        with new_file(self._solver_path) as partial:
            partial.write_text(solver_text(solver), encoding="utf-8")
        self._solver = pycaffe().get_solver(str(self._solver_path))
        self._jittered = [layer for layer in self._solver.net.layers if hasattr(layer, "begin")]
        for layer in self._jittered:
            layer.begin(seed, 0)
        self.seed, self.passes = seed, 0
        if self._given.iter_size > 1:
            self._watch_every_pass()

    def _watch_every_pass(self) -> None:
        """Gathers the losses of all passes of an iteration; a pycaffe without `after_forward` shows only the last."""
        net = self._solver.net
        if not hasattr(net, "after_forward"):
            return
        last, myself = len(net.layers) - 1, weakref.ref(self)  # a callback must not keep the solver alive

        def gather(layer: int) -> None:
            if layer == last:
                training = myself()
                training._every_pass.append(training._losses(training._solver.net))

        net.after_forward(gather)

    def _losses(self, net: Any) -> dict[str, float]:
        return {head: float(net.blobs[f"{head}_loss"].data) for head in self._inputs.names}

    def _restore_state(self, snapshot: Snapshot) -> None:
        """The state names its caffemodel by the path it was written under; in a folder that moved, one that names
        the path of now takes its place."""
        state = caffe_messages().SolverState()
        try:
            state.ParseFromString(snapshot.state.read_bytes())
        except DecodeError:
            raise InputError(f"{snapshot.state}: not a solverstate; remove its .json to use an older one") from None
        if Path(state.learned_net).exists() and Path(state.learned_net).samefile(snapshot.model):
            self._solver.restore(str(snapshot.state))
            return
        state.learned_net = str(snapshot.model)
        moved = snapshot.state.with_name(".moved.solverstate")  # one name, so that kills leave no more than one
        try:
            moved.write_bytes(state.SerializeToString())
            self._solver.restore(str(moved))
        finally:
            if moved.exists():  # a disk that is full has not taken it
                moved.unlink()
