"""attention.npz: the maps of a run, as the net gives them, and the labels that they stand for.

Arrays, for a net with both heads (one of two heads leaves the other's out):

    image                    (N) names
    protocol                 JSON text: the net, its weights, how images were cropped
    lesion, location         (N) the labels of each image's maps, joined by ';'
    lesion_names, ...        (P), (Q) label names in the order of their indices
    lesion_prob, ...         (N, P), (N, Q) float32: the ten-crop test's probabilities
    lesion_map_000000, ...   (K, H, W) float32: image 0's maps, one for each of its K labels, as large as the image is
    location_map_000000, ... when the net sees it: evidence for the label where positive, against it where negative,
                             in units of the logit

`numpy.load` opens it; a map is read only when it is asked for.
"""

from __future__ import annotations

import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.npz_file import ArraysFile, is_names, protocol

HEADS = ("lesion", "location")
REMEDY = "make it again with tools/attend.py"


@dataclass(frozen=True, eq=False)
class HeadAttention:
    """What one head makes of an image: `labels` (K), their `maps` (K, H, W), `probabilities` (P or Q) of all labels."""

    labels: tuple[str, ...]
    maps: np.ndarray
    probabilities: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """(H, W): the mean of the maps, for a picture. Where an image has several lesions, evidence for any of them."""
        return self.maps.mean(axis=0)


class AttentionWriter:
    """Adds images one by one to a file that is open, so that no more than one image's maps are in memory."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._images: list[str] = []
        self._columns: dict[str, list[Any]] = {}

    def add(self, image: str, heads: dict[str, HeadAttention]) -> None:
        for head, attention in heads.items():
            self._write(_member(head, len(self._images)), attention.maps)
            self._columns.setdefault(head, []).append(";".join(attention.labels))
            self._columns.setdefault(f"{head}_prob", []).append(attention.probabilities)
        self._images.append(image)

    def finish(self, names: dict[str, Sequence[str]], protocol: dict[str, Any]) -> None:
        """Writes what all images share: each head's label names, and how the maps were made."""
        self._write("image", np.array(self._images, np.str_))
        self._write("protocol", np.array(json.dumps(protocol, sort_keys=True)))
        for head, of_head in names.items():
            self._write(f"{head}_names", np.array(of_head, np.str_))
        for head, of_head in names.items():
            shape = (len(self._images), len(of_head))
            self._write(head, np.array(self._columns.get(head, []), np.str_))
            self._write(f"{head}_prob", np.array(self._columns.get(f"{head}_prob", []), np.float32).reshape(shape))

    def _write(self, name: str, array: np.ndarray) -> None:
        # opened by its name alone, a member has no date: the same maps give the same bytes
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


@contextmanager
def new_attention_file(path: Path) -> Iterator[AttentionWriter]:
    """Yields a writer; the caller renames the finished file or its folder into place."""
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
        yield AttentionWriter(archive)


class AttentionFile:
    """A file to read from: `images` (N), `heads`, their label `names`, `protocol`; InputError where it is not whole."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._file = ArraysFile(self.path, REMEDY)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror or error}); name a folder of attend.py"
            ) from None
        self.images = self._texts("image")
        self.heads = [head for head in HEADS if head in self._file.names]
        self.names = {head: self._texts(f"{head}_names") for head in self.heads}
        self._labels = {head: self._texts(head) for head in self.heads}
        self._probabilities = {head: self._file.read(f"{head}_prob") for head in self.heads}
        for head, probabilities in self._probabilities.items():
            wanted = (len(self.images), len(self.names[head]))
            if probabilities.dtype != np.float32 or probabilities.shape != wanted:
                raise InputError(f"{path}: {head}_prob is no probability for each of {wanted}; {REMEDY}")
            if len(self._labels[head]) != len(self.images):
                raise InputError(f"{path}: its arrays are not of {len(self.images)} images; {REMEDY}")
        text = self._file.read("protocol")
        self.protocol = protocol(self.path, text.reshape(()) if text.size == 1 else text, REMEDY)

    def read(self, row: int, head: str) -> HeadAttention:
        """Image `row`'s attention of one head."""
        labels = tuple(self._labels[head][row].split(";"))
        maps = self._file.read(_member(head, row))
        if maps.dtype.kind != "f" or maps.ndim != 3 or len(maps) != len(labels) or not maps.size:
            raise InputError(f"{self.path}: {_member(head, row)} has no map a label; {REMEDY}")
        if not np.isfinite(maps).all():
            raise InputError(f"{self.path}: {_member(head, row)} has no finite map a label; {REMEDY}")
        return HeadAttention(labels, maps, self._probabilities[head][row])

    def probabilities(self, row: int, head: str, labels: Sequence[str]) -> list[float]:
        """The ten-crop test's probabilities of labels."""
        return [self.probability(row, head, label) for label in labels]

    def probability(self, row: int, head: str, label: str) -> float:
        """The ten-crop test's probability of a label."""
        if label not in self.names[head]:
            raise InputError(f"{self.path}: {label!r}, image {self.images[row]!r}, is not in {head}_names; {REMEDY}")
        return float(self._probabilities[head][row][self.names[head].index(label)])

    def _texts(self, name: str) -> list[str]:
        array = self._file.read(name)
        if not is_names(array):
            raise InputError(f"{self.path}: {name} is {array.shape} {array.dtype}, where texts are wanted; {REMEDY}")
        return array.tolist()


def _member(head: str, row: int) -> str:
    return f"{head}_map_{row:06d}"
