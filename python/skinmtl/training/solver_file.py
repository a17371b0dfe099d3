"""The solver that a run is trained with: the user's, with the run's nets, rate, seed and places."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.prototxt import message_text, read_solver
from caffe_files.schema import caffe_messages

# what the driver does itself, or sets anew
REPLACED = (
    *("net_param", "train_net_param", "test_net_param"),
    *("net", "train_net", "test_net", "test_iter", "test_interval", "test_initialization", "test_compute_loss"),
    *("lr_policy", "gamma", "power", "stepsize", "stepvalue", "display", "average_loss", "debug_info"),
    *("snapshot", "snapshot_prefix", "snapshot_diff", "snapshot_format", "snapshot_after_train"),
    *("solver_mode", "device_id", "random_seed", "weights", "base_lr", "max_iter"),
)
KINDS = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
HEADER = (
    "# made by tools/train.py, which tests and snapshots by itself and sets base_lr as its schedule says.\n"
    "# Change the solver that it was given, not this file.\n"
)


def read_checked_solver(path: Path) -> Message:
    """A SolverParameter whose hyper-parameters can be trained with. InputError says what is not as it must be."""
    solver = read_solver(path)
    if solver.HasField("train_state") or solver.test_state:
        raise InputError(f"{path}: train_state and test_state choose layers, which train.py does not; leave them out")
    if not solver.base_lr > 0:
        raise InputError(f"{path}: base_lr is {solver.base_lr:g}, which trains nothing; give a positive one")
    if solver.type not in KINDS:
        raise InputError(f"{path}: type {solver.type!r} is no solver of Caffe; give one of {', '.join(KINDS)}")
    if solver.type in ("AdaGrad", "RMSProp") and solver.momentum:
        raise InputError(f"{path}: {solver.type} of Caffe takes no momentum; leave it out")
    if not 0 <= solver.momentum < 1:
        raise InputError(f"{path}: momentum is {solver.momentum:g}; give one from 0 to below 1")
    if solver.iter_size < 1:
        raise InputError(f"{path}: iter_size is {solver.iter_size}; give one from 1")
    if solver.regularization_type not in ("L1", "L2"):
        raise InputError(f"{path}: regularization_type {solver.regularization_type!r} is neither 'L1' nor 'L2'")
    if solver.type == "RMSProp" and not 0 <= solver.rms_decay < 1:
        raise InputError(f"{path}: rms_decay is {solver.rms_decay:g}; give one from 0 to below 1")
    return solver


def effective_solver(given: Message, train_net: Path, rate: float, max_iter: int, prefix: Path, seed: int) -> Message:
    """The solver for Caffe: one net, a fixed rate, and nothing that Caffe would do on its own between iterations."""
    solver = caffe_messages().SolverParameter()
    solver.CopyFrom(given)
    for field in REPLACED:
        solver.ClearField(field)
    solver.train_net = str(train_net)
    solver.base_lr = rate
    solver.lr_policy = "fixed"
    solver.display = 0
    solver.max_iter = max_iter
    solver.snapshot_prefix = str(prefix)
    solver.snapshot_after_train = False
    solver.random_seed = seed
    return solver


def solver_text(solver: Message) -> str:
    """The solver as prototxt."""
    return HEADER + message_text(solver)
