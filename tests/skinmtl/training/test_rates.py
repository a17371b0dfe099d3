"""Schedules of the learning rate, and that a training has the rates that its log says, also after a stop."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.common.provenance import sha256
from skinmtl.training.log_file import read_log
from skinmtl.training.rates import RateShape, shape_of
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.training_run import train

pytest_plugins = ["toy_training"]


def factors(shape, length):
    return [shape.factor(iteration, length) for iteration in range(length)]


def test_a_warm_up_rises_along_a_line_to_the_rate_and_stays():
    np.testing.assert_allclose(factors(RateShape("fixed", 4), 8), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
    assert factors(RateShape(), 3) == [1, 1, 1]


def test_a_cosine_is_the_formula_from_the_warm_up_to_the_end():
    found = factors(RateShape("cosine", 5), 105)
    np.testing.assert_allclose(found[:5], [0.2, 0.4, 0.6, 0.8, 1])
    expected = [(1 + math.cos(math.pi * step / 100)) / 2 for step in range(100)]  # Loshchilov and Hutter, equation 5
    np.testing.assert_allclose(found[5:], expected, atol=1e-12)
    assert min(found) > 0


def test_a_solvers_own_policy_is_caffes_whatever_iteration_is_asked_for():
    solver = caffe_messages().SolverParameter(base_lr=0.3, lr_policy="multistep", gamma=0.1, max_iter=40)
    solver.stepvalue.extend([3, 6])
    shape = shape_of("solver", 0, solver, "s.prototxt")
    np.testing.assert_allclose(factors(shape, 8), [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])
    assert shape.factor(6, 8) == pytest.approx(0.01)  # by itself, as after a resume
    poly = caffe_messages().SolverParameter(base_lr=0.3, lr_policy="poly", power=2, max_iter=40)
    assert shape_of("solver", 0, poly, "s").factor(5, 10) == pytest.approx(0.25)  # of the run's iterations
    with pytest.raises(InputError, match="s: lr_policy 'step' needs gamma"):
        shape_of("solver", 0, caffe_messages().SolverParameter(base_lr=1, lr_policy="step"), "s")


def test_a_constant_rate_leaves_args_json_as_it_was():
    assert RateShape().record(100) == {}
    assert RateShape("cosine", 5).record(100) == {"lr_policy": "cosine", "warm_up": 5, "schedule_until": 100}
    assert RateShape("fixed", 5).record(100) == {"lr_policy": "fixed", "warm_up": 5}


def rates_of(run):
    return {int(row["iteration"]): row["lr"] for row in read_log(run / "log.csv")}


@pytest.mark.caffe
def test_caffe_trains_by_it_stopped_or_not(toy, tmp_path):
    how = {"schedule": "cosine", "warm_up": 4, "max_iter": 20, "display": 2, "test_interval": 10}
    train(toy.request(tmp_path / "whole", **how), {})
    found = rates_of(tmp_path / "whole")
    for iteration, rate in found.items():  # a row has the rate of the last iteration before it
        assert rate == pytest.approx(0.01 * RateShape("cosine", 4).factor(iteration - 1, 20), rel=1e-5)
    assert len(set(found.values())) > 8
    request = toy.request(tmp_path / "cut", **how)
    stopped_at(request, 10)
    train(replace(request, resume=True), {})
    assert sha256(tmp_path / "cut" / "final.caffemodel") == sha256(tmp_path / "whole" / "final.caffemodel")
    assert rates_of(tmp_path / "cut") == found
    with pytest.raises(InputError, match="its learning rate falls until iteration 20, now until 30; give the same"):
        train(replace(request, resume=True, max_iter=30), {})
    settings = json.loads((tmp_path / "cut" / "args.json").read_text())["settings"]
    assert (settings["lr_policy"], settings["warm_up"]) == ("cosine", 4)


def stopped_at(request, iteration):
    """A run whose snapshots after `iteration` are gone, as after a kill."""
    train(replace(request, keep_snapshots=None), {})
    folder = RunFolder(request.out)
    folder.final.unlink()
    for path in folder.snapshots.iterdir():
        if int(path.stem.rpartition("_iter_")[2].split(".")[0]) > iteration:
            path.unlink()


@pytest.mark.caffe
def test_what_does_not_fit_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="--warm-up 40: not below the 40 iterations"):
        train(toy.request(tmp_path / "run", warm_up=40), {})


def test_flags_that_do_not_go_together_are_usage_errors(tool):
    given = ("--solver", "s", "--net", "n", "--out", "o")
    for flags, words in (
        (("--schedule", "cosine", "--plateau-window", 2), "has no plateaus"),
        (("--warm-up", 5, "--rate-change", "restore"), "is of plateaus"),
        (("--schedule", "linear"), "invalid choice"),
    ):
        done = tool("train.py", *given, *flags)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
