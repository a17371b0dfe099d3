"""pycaffe's solver as the driver of a training sees it.

Caffe's Data layers start at record 0 in every process. Here a restored solver is brought to where the data stood by
forwarding the Data layers alone, which holds for any LMDB. They also draw crops and mirrors, and Dropout draws masks:
forwarded as often as in the run so far, with the seed of the run, they draw the same again, and the resumed training
is the undisturbed one, bit by bit on the CPU. Shorter is to stop at the same record after less than one cycle through
the data, under another seed, so that crops do not repeat: the same images in the same order, cropped otherwise.

JitteredImageData and LesionData are told the seed and the number of images so far; they need no replay, since what they
draw is a function of the two.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Callable

import numpy as np
from google.protobuf.message import DecodeError, Message
from tqdm import tqdm

from caffe_files.blobs import blob_shape, store_blob
from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.engines.caffe_engine import pycaffe, pycaffe_on
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.snapshots import Snapshot
from skinmtl.training.solver import TrainingSolver

REPLAYED = ("Data", "Dropout")  # the layers whose outputs depend on how often they were forwarded


class CaffeSolver(TrainingSolver):
    """One training in Caffe."""

    reads_again = True

    def __init__(
        self, given: Message, inputs: TrainingInputs, solver_path: Path, prefix: Path, max_iter: int, gpu: int | None
    ) -> None:
        super().__init__(given, inputs, solver_path, prefix, max_iter)
        caffe = pycaffe_on(gpu)
        # before the solver, whose seed decides all that is drawn from then on
        self._test_net = caffe.Net(str(inputs.test_net), caffe.TEST)

    @property
    def iteration(self) -> int:
        return int(self._solver.iter)

    def snapshot(self) -> Path:
        self._solver.snapshot()
        return self._prefix.with_name(f"{self._prefix.name}_iter_{self.iteration}")

    def close(self) -> None:
        for net in (self._solver and self._solver.net, self._test_net):
            for layer in net.layers if net else ():
                if hasattr(layer, "close"):
                    layer.close()
        self._solver = None

    def _build(self, rate: float, seed: int) -> None:
        self.close()
        self._write_solver(rate, seed)
        self._solver = pycaffe().get_solver(str(self._solver_path))
        self._test_net.share_with(self._solver.net)
        if self._given.iter_size > 1:
            self._watch_every_pass()

    def _copy_from(self, caffemodel: Path) -> None:
        self._solver.net.copy_from(str(caffemodel))

    def _place(self, seed: int, passes: int) -> None:
        net = self._solver.net
        for layer in net.layers:
            if hasattr(layer, "begin"):
                layer.begin(seed, passes * self._inputs.batch_size)
        replayed = [number for number, layer in enumerate(net.layers) if layer.type in REPLAYED]
        shown = {"disable": None if passes else True, "leave": False}  # None: on a terminal
        for _ in tqdm(range(passes), "finding the place in the data", unit="batch", **shown):
            for number in replayed:
                net._forward(number, number)

    def _iterate(self) -> list[list[float]]:
        self._solver.step(1)
        return self._every_pass or [self._losses()]

    def _test_pass(self) -> Callable[[str], np.ndarray]:
        self._test_net.forward()
        return lambda name: np.array(self._test_net.blobs[name].data)

    def _parameters(self) -> list[np.ndarray]:
        return [blob.data for blobs in self._solver.net.params.values() for blob in blobs]

    def _watch_every_pass(self) -> None:
        """Gathers the losses of all passes of an iteration; a pycaffe without `after_forward` shows only the last."""
        net = self._solver.net
        if not hasattr(net, "after_forward"):
            return
        last, myself = len(net.layers) - 1, weakref.ref(self)  # a callback must not keep the solver alive

        def gather(layer: int) -> None:
            if layer == last:
                training = myself()
                training._every_pass.append(training._losses())

        net.after_forward(gather)

    def _losses(self) -> list[float]:
        return [float(self._solver.net.blobs[loss.top].data.sum()) for loss in self._inputs.losses]

    def _restore_state(self, snapshot: Snapshot, fresh: bool) -> None:
        """The state names its caffemodel by the path it was written under; in a folder that moved, one that names
        the path of now takes its place, and for a fresh start one whose history is zero."""
        state = caffe_messages().SolverState()
        try:
            state.ParseFromString(snapshot.state.read_bytes())
        except DecodeError:
            raise InputError(f"{snapshot.state}: not a solverstate; remove its .json to use an older one") from None
        if not fresh and Path(state.learned_net).exists() and Path(state.learned_net).samefile(snapshot.model):
            self._solver.restore(str(snapshot.state))
            return
        state.learned_net = str(snapshot.model)
        if fresh:
            histories = [blob_shape(blob, len(blob.shape.dim)) for blob in state.history]
            state.ClearField("history")
            for shape in histories:
                store_blob(state.history.add(), np.zeros(shape, np.float32))
        moved = snapshot.state.with_name(".moved.solverstate")  # one name, so that kills leave no more than one
        try:
            moved.write_bytes(state.SerializeToString())
            self._solver.restore(str(moved))
        finally:
            if moved.exists():  # a disk that is full has not taken it
                moved.unlink()
