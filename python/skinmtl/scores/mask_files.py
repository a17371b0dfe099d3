"""The masks of a scoring as PNGs: kept beside the new folder while they are made, so that a stopped run goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import check_free, disk_errors, new_folder


def default_folder(out: Path) -> Path:
    """Where the masks of a scores file go if nothing else is said: SCORES_masks beside it."""
    return out.with_name(f"{out.stem}_masks")


def mask_name(image: str) -> str:
    """A mask's file below the folder: two images that differ in their ending alone have two masks."""
    return f"{image}.png"


class MaskFiles:
    """PNGs of one channel, 255 where lesion is, below a folder that is there when all of them are."""

    def __init__(self, target: Path) -> None:
        """InputError where the folder is there already and may not be replaced."""
        self.target = target
        self._kept = target.with_name(f".{target.name}.progress")
        check_free(target, folder=True)

    def has(self, image: str) -> bool:
        """Whether an image's mask is kept."""
        return (self._kept / mask_name(image)).is_file()

    def keep(self, image: str, mask: np.ndarray) -> None:
        """Writes the mask (H, W) bool, whole or not at all."""
        path = self._kept / mask_name(image)
        partial = path.with_name(f".{path.name}")
        with disk_errors(self.target):
            path.parent.mkdir(parents=True, exist_ok=True)
            done, png = cv2.imencode(".png", np.where(mask, 255, 0).astype(np.uint8))
            if not done:
                raise InputError(f"{self.target}: the mask of {image} cannot be coded as PNG; leave the image out")
            partial.write_bytes(png.tobytes())
            partial.replace(path)

    def finish(self, images: Sequence[str]) -> None:
        """Puts the folder with the images' masks in its place. What is kept stays, until `clear`."""
        with new_folder(self.target) as folder:
            for image in images:
                to = folder / mask_name(image)
                to.parent.mkdir(parents=True, exist_ok=True)
                _link(self._kept / mask_name(image), to)

    def clear(self) -> None:
        """Removes what is kept."""
        shutil.rmtree(str(self._kept), ignore_errors=True)


def _link(source: Path, to: Path) -> None:
    """A second name of the file, or where the disk has none of that a copy."""
    try:
        os.link(str(source), str(to))
    except OSError:
        shutil.copyfile(str(source), str(to))
