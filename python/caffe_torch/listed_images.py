"""The samples of Caffe's ImageData layer: image files that a list names, with labels (BVLC: image_data_layer.cpp).

Nothing here needs PyTorch, so that a worker process starts fast.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Sequence

import cv2
import numpy as np

from caffe_files.streams import Reader, Recipe
from caffe_torch.errors import NetError
from caffe_torch.records import Transform, read_mean

LABEL = re.compile(r"[+-]?\d+")


class ListedImages(Reader):
    """The files of a list, round and round, or with `shuffled` in another order each time: (H, W, C) as Transform.cut
    makes it, uint8 or float32, and the label.

    A line is a file's name, which begins behind `root`, a space and a whole number. `size` is the height and the width
    that images are brought to; 0, 0: their own.
    """

    def __init__(
        self, source: str, root: str, transform: dict[str, Any], size: Sequence[int], in_color: bool, shuffled: bool
    ) -> None:
        self._source, self._root, self._size, self._shuffled = source, root, tuple(size), shuffled
        self._files = read_list(source)
        self._transform = Transform(**transform)
        self._flag = cv2.IMREAD_COLOR if in_color else cv2.IMREAD_GRAYSCALE
        mean_file = self._transform.mean_file
        self._mean_image = read_mean(Path(mean_file)) if mean_file else None

    @classmethod
    def recipe(cls, transform: Transform, **settings: Any) -> Recipe:
        """How any process makes it."""
        return Recipe.of(cls, transform=asdict(transform), **settings)

    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        turn, place = divmod(visit, len(self._files))
        number = int(drawn_order(len(self._files), seed, turn)[place]) if self._shuffled else place
        name, label = self._files[number]
        image = cv2.imread(self._root + name, self._flag)
        where = f"{self._source}: line {number + 1}: {self._root + name}"
        if image is None:
            raise NetError(f"{where} is no image that can be read; correct the list, or root_folder")
        if self._size[0]:
            image = cv2.resize(image, self._size[::-1])
        pixels = image[:, :, None] if image.ndim == 2 else image
        random = np.random.Generator(np.random.Philox(key=seed, counter=visit)) if self._transform.draws else None
        try:
            return self._transform.cut(pixels, random, self._mean_image), np.float32(label)
        except ValueError as error:
            raise NetError(f"{where}: {error}") from None

    def use_one_core(self) -> None:
        cv2.setNumThreads(1)

    def close(self) -> None:
        """Nothing is open."""


def read_list(source: str) -> list[tuple[str, int]]:
    """The files and labels of a list. NetError names a line that Caffe would take for something else."""
    files = []
    for number, line in enumerate(lines_of(source), 1):
        name, _, label = line.rstrip("\r").rpartition(" ")
        if not name or not LABEL.fullmatch(label):
            raise NetError(f"{source}: line {number}: {line!r} is no file's name, a space and a whole number")
        files.append((name, int(label)))
    return files


def lines_of(source: str) -> list[str]:
    """The lines of a text file. NetError where there are none."""
    try:
        lines = Path(source).read_bytes().decode("utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise NetError(f"source {source!r} cannot be read ({error.strerror}); correct the path") from None
    lines = lines[:-1] if lines[-1] == "" else lines
    if not lines:
        raise NetError(f"source {source!r} is empty; it names one file a line")
    return lines


def drawn_order(count: int, seed: int, turn: int, of: int = 0) -> np.ndarray:
    """An order of `count` things, for each turn and each `of` another: a function of the numbers given alone."""
    key = np.array([seed, 1 + of], np.uint64)  # crops are drawn by (seed, 0)
    return np.random.Generator(np.random.Philox(key=key, counter=turn)).permutation(count)
