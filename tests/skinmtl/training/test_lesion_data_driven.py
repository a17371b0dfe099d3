"""The driver of a training in stock Caffe and LesionData: seed and place are the run's, and no worker is left."""

from __future__ import annotations

import os

import numpy as np
import pytest
from driven_lesions import DrivenLesions, assert_as_large_as_said, assert_shown
from made_lesions import TOPS
from processes import still_there, workers_of

pytestmark = pytest.mark.caffe


@pytest.fixture
def driven(tmp_path):
    return DrivenLesions(tmp_path)


def shown(solver):
    blobs = solver._solver.net.blobs
    return {top: np.array(blobs[top].data) for top in (*TOPS, "lesion_label")}


def test_a_restored_training_goes_on_with_the_same_images_draws_and_labels(driven):
    from skinmtl.training.caffe_solver import CaffeSolver

    before = workers_of(os.getpid())  # of other tests' layers, which Caffe never frees
    solver = CaffeSolver(*driven.solver, None)
    solver.start([], 0.01, 7)
    tests = []
    for number in range(4):
        solver.step()
        assert_shown(shown(solver), driven.expected([number], 7))
        tests.append(next(solver.test_batches())["lesion_label"])
        if number == 1:
            stem = solver.snapshot()
            assert_as_large_as_said(solver, stem)
    weights = solver._solver.net.params["fc_lesion"][0].data.copy()
    workers = [each for each in workers_of(os.getpid()) if each not in before]
    assert len(workers) == 3
    solver.restore(driven.snapshot(stem, 2), 0.01, 7, 2)
    for number in (2, 3):
        solver.step()
        assert_shown(shown(solver), driven.expected([number], 7))
    np.testing.assert_array_equal(solver._solver.net.params["fc_lesion"][0].data, weights)
    for labels in tests:
        np.testing.assert_array_equal(labels, np.eye(2)[[0, 1, 0, 1, 0]])
    next(solver.test_batches())
    workers += [each for each in workers_of(os.getpid()) if each not in before]
    solver.close()
    assert still_there(workers) == []
