"""Solverstates in HDF5, as BVLC Caffe writes and reads them: data sets `iter`, `learned_net`, `current_step`, and in
the group `history` the history's blobs as data sets 0, 1 and so on (BVLC: SGDSolver::SnapshotSolverStateToHDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_files.outputs import new_file
from caffe_files.schema import caffe_messages
from caffe_torch.errors import NetError
from caffe_torch.hdf5_library import h5py_for

LONGEST = 1 << 16  # of a path, in bytes: our choice, more than any system takes


def write_hdf5_state(path: Path, iteration: int, current_step: int, model: Path, history: Sequence[Tensor]) -> None:
    """The iteration, the path of the weights, and the history of each learned parameter in the net's order."""
    h5py = h5py_for(path)
    name = str(model).encode()
    with new_file(path) as partial, h5py.File(str(partial), "w") as file:
        file["iter"] = np.array([iteration], np.int32)
        file["learned_net"] = np.array(name, f"S{len(name) + 1}")  # with the 0 behind it that Caffe reads up to
        file["current_step"] = np.array([current_step], np.int32)
        group = file.create_group("history")
        for number, values in enumerate(history):
            group[str(number)] = values.detach().cpu().contiguous().numpy()


def read_hdf5_state(path: Path, history: Sequence[Tensor]) -> Message:
    """Fills the history; returns a SolverState for its iteration, step and model. NetError where it does not fit."""
    h5py = h5py_for(path)
    state = caffe_messages().SolverState()
    try:
        with h5py.File(str(path), "r") as file:
            state.iter, state.current_step = (int(_only(file[name])) for name in ("iter", "current_step"))
            if "learned_net" in file:
                state.learned_net = _only(file["learned_net"]).partition(b"\0")[0].decode()
            found = _history(file["history"], history, path)
    except NetError:
        raise
    except (OSError, KeyError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise NetError(f"{path}: no solverstate in HDF5 that can be read ({said}); use another") from None
    if state.iter < 0 or state.current_step < 0:
        raise NetError(f"{path}: iteration {state.iter}, step {state.current_step}; use another solverstate")
    with torch.no_grad():
        for values, stored in zip(history, found):
            values.copy_(torch.from_numpy(stored))
    return state


def _only(stored: Any) -> Any:
    """The one value of a data set. ValueError where it is no such thing: what is damaged may ask for all memory."""
    if stored.size != 1 or stored.dtype.itemsize > LONGEST:
        raise ValueError(f"{stored.name} has {stored.size} values of {stored.dtype}")
    return np.asarray(stored[()]).item()


def _history(group: Any, history: Sequence[Tensor], path: Path) -> list[np.ndarray]:
    if len(group) != len(history):
        raise NetError(f"{path}: a history of {len(group)} blobs where this solver's has {len(history)}")
    found = []
    for number, values in enumerate(history):
        stored, wanted = group[str(number)], tuple(values.shape)
        if tuple(stored.shape) != wanted or stored.dtype.kind not in "fiu":
            raise NetError(f"{path}: history {number} is {stored.dtype} of {tuple(stored.shape)}; {wanted} is needed")
        found.append(np.asarray(stored[()], np.float32))
    return found
