"""The samples of Caffe's HDF5Data layer: rows of data sets, file by file (BVLC: hdf5_data_layer.cpp).

Nothing here needs PyTorch, so that a worker process starts fast.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Sequence

import numpy as np

from caffe_files.streams import Reader
from caffe_torch.errors import NetError
from caffe_torch.hdf5_library import h5py_for
from caffe_torch.listed_images import drawn_order, lines_of


class HDF5Rows(Reader):
    """Row by row the data sets of some names, of the files that a list names, round and round; with `shuffled` the
    files come in another order each time, and the rows of each file. A file is held in memory while it is read from."""

    def __init__(self, source: str, names: Sequence[str], shuffled: bool) -> None:
        self._names, self._shuffled = tuple(names), shuffled
        self._paths = [path for line in lines_of(source) for path in line.split()]
        if not self._paths:
            raise NetError(f"source {source!r} is empty; it names one file a line")
        found = [self._forms(path) for path in self._paths]
        for path, (_, shapes) in zip(self._paths, found):
            if shapes != found[0][1]:
                raise NetError(f"{path}: rows of {shapes} where {self._paths[0]} has {found[0][1]}; make them alike")
        self._counts = np.array([count for count, _ in found])
        self._whole = lru_cache(maxsize=1)(self._read)

    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        turn, place = divmod(visit, int(self._counts.sum()))
        order = drawn_order(len(self._paths), seed, turn) if self._shuffled else np.arange(len(self._paths))
        ends = np.cumsum(self._counts[order])
        which = int(np.searchsorted(ends, place, "right"))
        number = int(order[which])
        row = place - int(ends[which] - self._counts[number])
        if self._shuffled:
            row = int(drawn_order(int(self._counts[number]), seed, turn, 1 + number)[row])
        return tuple(values[row] for values in self._whole(number))

    def use_one_core(self) -> None:
        """It takes no more."""

    def close(self) -> None:
        """Leaves the file that was read last."""
        self._whole.cache_clear()

    def _forms(self, path: str) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """How many rows a file has, and the shapes of a row's parts."""
        with _opened(path) as file:
            found = [self._data_set(file, name, path) for name in self._names]
            counts = {each.shape[0] for each in found}
            if len(counts) != 1 or 0 in counts:
                named = ", ".join(f"{name} has {each.shape[0]}" for name, each in zip(self._names, found))
                raise NetError(f"{path}: {named} rows; all need as many, and one at least")
            return counts.pop(), tuple(tuple(each.shape[1:]) for each in found)

    def _read(self, number: int) -> list[np.ndarray]:
        path = self._paths[number]
        with _opened(path) as file:
            found = [np.asarray(self._data_set(file, name, path)[()], np.float32) for name in self._names]
        if len(found[0]) != self._counts[number]:
            raise NetError(f"{path}: has changed while it was read; start again")
        return found

    def _data_set(self, file: Any, name: str, path: str) -> Any:
        found = file.get(name)
        if not hasattr(found, "dtype") or not found.shape or found.dtype.kind not in "fiu":
            raise NetError(f"{path}: no data set {name!r} with rows of numbers; tops are called as the data sets are")
        return found


def _opened(path: str) -> Any:
    h5py = h5py_for(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        said = (str(error).splitlines() or [""])[0]
        raise NetError(f"{path}: no HDF5 that can be read ({said}); correct the list") from None
