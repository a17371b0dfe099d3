"""Cosine and warm-up on PyTorch: in train.py as with Caffe, and in caffe-torch's own solver, as PyTorch has them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_files.schema import caffe_messages
from caffe_torch.rates import learning_rate
from skinmtl.common.provenance import sha256
from skinmtl.engines.engine import Engine
from skinmtl.training.log_file import read_log
from skinmtl.training.rates import RateShape
from skinmtl.training.training_run import train

pytestmark = pytest.mark.torch
pytest_plugins = ["toy_training"]


def test_a_cosine_is_pytorchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    solver = caffe_messages().SolverParameter(base_lr=0.3, lr_policy="cosine", max_iter=50)
    for iteration in range(50):
        assert learning_rate(solver, iteration, 0)[0] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)
        optimizer.step()
        theirs.step()


def test_a_warm_up_is_pytorchs_before_any_policy():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / 5, total_iters=4)
    solver = caffe_messages().SolverParameter(base_lr=0.3, lr_policy="fixed")
    for iteration in range(10):
        assert learning_rate(solver, iteration, 0, 5)[0] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)
        optimizer.step()
        theirs.step()


def test_train_py_goes_on_exactly(toy, tmp_path):
    how = {"schedule": "cosine", "warm_up": 4, "max_iter": 20, "display": 2, "test_interval": 10}
    how.update(engine=Engine("torch"), keep_snapshots=None)
    train(toy.request(tmp_path / "whole", **how), {})
    for row in read_log(tmp_path / "whole" / "log.csv"):
        expected = 0.01 * RateShape("cosine", 4).factor(int(row["iteration"]) - 1, 20)
        assert row["lr"] == pytest.approx(expected, rel=1e-5)
    train(toy.request(tmp_path / "cut", **how), {})
    (tmp_path / "cut" / "final.caffemodel").unlink()
    for path in (tmp_path / "cut" / "snapshots").iterdir():
        if int(path.stem.rpartition("_iter_")[2].split(".")[0]) > 10:
            path.unlink()
    train(toy.request(tmp_path / "cut", resume=True, **how), {})
    assert sha256(tmp_path / "cut" / "final.caffemodel") == sha256(tmp_path / "whole" / "final.caffemodel")


def test_caffe_torchs_solver_warms_up_and_goes_on_exactly(toy, tmp_path):
    from caffe_torch.training import Training

    net = toy.net(varied=False)
    text = (
        f'train_net: "{net}/train.prototxt" base_lr: 0.01 lr_policy: "cosine" momentum: 0.9 max_iter: 8 '
        f'random_seed: 1 snapshot_prefix: "{tmp_path}/s" type: "SGD"'
    )
    (tmp_path / "solver.prototxt").write_text(text)

    def training():
        return Training(tmp_path / "solver.prototxt", "cpu", "fp32", warm_up=3)

    whole, rates = training(), []
    for _ in range(8):
        whole.solver.step()
        rates.append(whole.solver.rate)
        if whole.solver.iteration == 5:
            _, state = whole.solver.snapshot(str(tmp_path / "s"))
    np.testing.assert_allclose(rates, [0.01 * RateShape("cosine", 3).factor(n, 8) for n in range(8)], rtol=1e-6)
    again = training()
    again.solver.restore(state)
    for _ in range(3):
        again.solver.step()
    for one, other in zip(whole.solver.parameters, again.solver.parameters):
        assert torch.equal(one, other)
    whole.close()
    again.close()
