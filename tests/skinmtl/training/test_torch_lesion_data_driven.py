"""The driver of a training in caffe_torch and LesionData: the seed, the place and the numbers are those of Caffe's."""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from driven_lesions import DrivenLesions, assert_as_large_as_said, assert_shown
from processes import workers_of

from skinmtl.engines.engine import Engine
from skinmtl.training.torch_solver import TorchSolver

pytestmark = pytest.mark.torch
torch.set_num_threads(1)


@pytest.mark.parametrize(("workers", "kind"), [(0, "Adam"), (2, "SGD")])
def test_a_restored_training_goes_on_with_the_same_images_draws_and_labels(tmp_path, workers, kind):
    driven, shown = DrivenLesions(tmp_path, kind), {}

    def keep(_net, _inputs, blobs):
        shown.update({name: each.detach().numpy() for name, each in blobs.items()})

    def begin(act):
        act()
        solver._solver.net.register_forward_hook(keep)

    solver = TorchSolver(*driven.solver, Engine("torch"), workers)
    begin(lambda: solver.start([], 0.01, 7))
    for number in range(4):
        solver.step()
        assert_shown(shown, driven.expected([number], 7))
        labels = next(solver.test_batches())["lesion_label"]
        np.testing.assert_array_equal(labels, np.eye(2)[[0, 1, 0, 1, 0]])
        if number == 1:
            stem = solver.snapshot()
            assert_as_large_as_said(solver, stem)
    weights = solver._solver.net.layer("fc_lesion").blobs[0].detach().clone()
    begin(lambda: solver.restore(driven.snapshot(stem, 2), 0.01, 7, 2))
    for number in (2, 3):
        solver.step()
        assert_shown(shown, driven.expected([number], 7))
    assert torch.equal(solver._solver.net.layer("fc_lesion").blobs[0], weights)
    solver.close()
    assert not workers_of(os.getpid())
