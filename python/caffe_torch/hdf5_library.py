"""h5py, which is loaded where a file in HDF5 is met: nothing else needs it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from caffe_torch.errors import NetError


def h5py_for(path: Path | str) -> ModuleType:
    """The library. NetError where this Python has it not."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        if error.name != "h5py":
            raise
        raise NetError(f"{path}: HDF5 needs h5py, which this Python has not: pip install h5py") from None
    return h5py
