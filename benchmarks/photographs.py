"""Drawn photographs as JPEG files, with the manifest and the list that name them."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.parallel import ordered_map

TEXTURES = 10
WIDTHS = (600, 4000)
ASPECTS = (3 / 4, 3 / 4, 2 / 3, 9 / 16, 1.0, 4 / 3)
PROGRESSIVE = 20  # one in so many


@lru_cache(maxsize=1)
def texture(number: int, seed: int) -> np.ndarray:
    """A square with texture at every scale, less of it the finer it is, as photographs have; and sensor noise."""
    random = np.random.RandomState((seed, number))
    side = WIDTHS[1]
    picture = np.full((side, side, 3), random.uniform(100, 150, 3), np.float32)
    height, cells = 45.0, 4
    while cells < side:
        grid = random.standard_normal((cells, cells, 3 if cells <= 64 else 1)).astype(np.float32)
        finer = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        picture += height * finer.reshape(side, side, -1)
        height, cells = 0.62 * height, 2 * cells
    picture += random.standard_normal((side, side, 1)).astype(np.float32) * random.uniform(2, 5)
    return picture.clip(0, 255).astype(np.uint8)


def draw_photograph(task: tuple[Path, int, int, int, tuple[int, int]]) -> int:
    """Writes one photograph, a part of a texture in a light of its own; returns its pixels. (0, 0) is any size."""
    path, number, which, seed, size = task
    base = texture(which, seed)
    random = np.random.RandomState((seed, 1, number))
    width = int(random.randint(WIDTHS[0], WIDTHS[1] + 1))
    height = min(len(base), round(width * random.choice(ASPECTS)))
    if size[0]:
        width, height = size
    top, left = random.randint(0, len(base) - height + 1), random.randint(0, len(base) - width + 1)
    levels = np.arange(256) * random.uniform(0.7, 1.1) + random.uniform(-20, 20)
    picture = cv2.LUT(base[top : top + height, left : left + width], levels.clip(0, 255).astype(np.uint8))
    options = [cv2.IMWRITE_JPEG_QUALITY, int(random.randint(82, 96))]
    options += [cv2.IMWRITE_JPEG_PROGRESSIVE, int(number % PROGRESSIVE == 0)]
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(cv2.imencode(".jpg", picture, options)[1].tobytes())
    unfinished.rename(path)
    return width * height


def draw_photographs(folder: Path, count: int, seed: int, workers: int, size: tuple[int, int] = (0, 0)) -> list[str]:
    """Draws those that are not there, the manifest, and the list that convert_imageset takes; returns their names.

    `size` is (width, height) of all, or (0, 0) for many sizes.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = [f"{number:05d}.jpg" for number in range(count)]
    told = folder / " ".join(["drawn", str(seed), *(str(side) for side in size if side)])
    if not told.exists() and any((folder / "images").iterdir()):
        raise InputError(f"{folder}: has other images; give --data another folder")
    told.touch()
    tasks = [(folder / "images" / name, number, number % TEXTURES, seed, size) for number, name in enumerate(names)]
    missing = sorted((task for task in tasks if not task[0].exists()), key=lambda task: task[2])
    for done, _ in enumerate(ordered_map(draw_photograph, missing, workers)):
        if done % 200 == 0:
            print(f"  drawing: {done} of {len(missing)}", file=sys.stderr)
    lines = [f"{name},lesion {number % 9},place {number % 5}" for number, name in enumerate(names)]
    (folder / "manifest.csv").write_text("\n".join(["image,lesions,location", *lines]) + "\n")
    (folder / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    return names
