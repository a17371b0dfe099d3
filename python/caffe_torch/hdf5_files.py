"""Weights in HDF5, as BVLC Caffe writes and reads them: in the group `data` a group for each layer, and in it the
layer's blobs as datasets 0, 1 and so on (BVLC: Net::ToHDF5, Net::CopyTrainedLayersFromHDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

from caffe_files.outputs import new_file
from caffe_torch.errors import NetError
from caffe_torch.hdf5_library import h5py_for
from caffe_torch.layers.layer import Layer
from caffe_torch.net import Net

SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether there is a file that begins as HDF5 does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def check_names(net: Net) -> None:
    """NetError where layers cannot be groups of a file."""
    names = [layer.name for layer in net.layers]
    for name in names:
        if "/" in name or not name.strip(".") or names.count(name) > 1:
            raise NetError(f"layer {name!r}: HDF5 has no place for its name, or for two of it; save as a caffemodel")


def write_hdf5(net: Net, path: Path) -> None:
    """All layers with their blobs; one that several layers share is written with the first of them alone."""
    h5py = h5py_for(path)
    check_names(net)
    owners: set[int] = set()
    with new_file(path) as partial, h5py.File(str(partial), "w") as file:
        data = file.create_group("data")
        for layer in net.layers:
            group = data.create_group(layer.name)
            for number, blob in enumerate(layer.blobs):
                if id(layer.storage(number)) not in owners:
                    group.create_dataset(str(number), data=blob.detach().cpu().contiguous().numpy())
                owners.add(id(layer.storage(number)))


def copy_hdf5(net: Net, path: Path) -> list[str]:
    """Fills layers by name; returns the names of the file's layers that the net has not.

    A blob that the layer shares with an earlier one may be missing. NetError where any other is, or has another shape;
    before anything is filled.
    """
    h5py = h5py_for(path)
    ours = {layer.name: layer for layer in net.layers}  # of several of one name the last, as Caffe does it here
    unknown, found = [], []
    try:
        with h5py.File(str(path), "r") as file:
            for name, group in file["data"].items():
                if name not in ours:
                    unknown.append(name)
                    continue
                found += _blobs(group, ours[name], _shared(net), f"{path}: layer {name!r}")
    except (OSError, KeyError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise NetError(f"{path}: no weights in HDF5 that can be read ({said}); write the file again") from None
    with torch.no_grad():
        for storage, values in found:
            storage.copy_(torch.from_numpy(values).reshape(storage.shape))
    return unknown


def _blobs(group: Any, layer: Layer, is_shared: Callable[[Layer, int], bool], where: str) -> list[tuple]:
    if len(group) > layer.blob_count:
        raise NetError(f"{where} has {len(group)} blobs where the net has {layer.blob_count}")
    found = []
    for number, blob in enumerate(layer.blobs):
        stored = group.get(str(number))
        if stored is None and is_shared(layer, number):
            continue
        if stored is None:
            raise NetError(f"{where} has no blob {number}, which the net needs")
        if tuple(stored.shape) != tuple(blob.shape) or stored.dtype.kind not in "fiu":
            wanted = tuple(blob.shape)
            raise NetError(f"{where}, blob {number} is {stored.dtype} of {tuple(stored.shape)}; the net needs {wanted}")
        found.append((layer.storage(number), np.asarray(stored[()], np.float32)))
    return found


def _shared(net: Net) -> Callable[[Layer, int], bool]:
    """Whether a layer's blob is one that an earlier layer has too."""
    first: dict[int, tuple[Layer, int]] = {}
    for layer in net.layers:
        for number in range(layer.blob_count):
            first.setdefault(id(layer.storage(number)), (layer, number))
    return lambda layer, number: first[id(layer.storage(number))] != (layer, number)
