"""The samples of Caffe's Data layer: records decoded, cropped, mirrored or not.

Crops and mirrors are drawn from (seed, visit) alone: a stream that starts later, in another process, with other workers
or on other devices gives the same numbers. Nothing here needs PyTorch, so that a worker process starts fast.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np
from google.protobuf.message import Message

from caffe_files.blobs import blob_shape, blob_values
from caffe_files.errors import InputError
from caffe_files.prototxt import read_blob
from caffe_files.records import Records
from caffe_files.streams import Reader, Recipe
from caffe_torch.errors import NetError


@dataclass(frozen=True)
class Transform:
    """Caffe's transform_param: `mean` of the channels, or a mean_file, or neither."""

    crop: int
    mirror: bool
    at_random: bool
    mean: tuple[float, ...]
    mean_file: str
    scale: float
    decoding: int

    @classmethod
    def of(cls, settings: Message, training: bool, refuse: Callable[[str], NetError]) -> Transform:
        """From the settings; crops are at random in training, else of the centre."""
        if settings.mean_file and settings.mean_value:
            raise refuse("mean_file and mean_value are given both")
        if settings.force_color and settings.force_gray:
            raise refuse("force_color and force_gray are given both")
        decoding = cv2.IMREAD_UNCHANGED
        if settings.force_color or settings.force_gray:
            decoding = cv2.IMREAD_COLOR if settings.force_color else cv2.IMREAD_GRAYSCALE
        mean = tuple(settings.mean_value)
        return cls(settings.crop_size, settings.mirror, training, mean, settings.mean_file, settings.scale, decoding)

    @property
    def draws(self) -> bool:
        """Whether anything is drawn at random."""
        return self.mirror or (self.crop > 0 and self.at_random)

    def pixels(self, datum: Message) -> np.ndarray:
        """(H, W, C) of a Datum, decoded: uint8, or float32 where the Datum holds floats."""
        if datum.encoded:
            image = cv2.imdecode(np.frombuffer(datum.data, np.uint8), self.decoding) if datum.data else None
            if image is None:
                raise ValueError("its image cannot be decoded")
            if image.dtype != np.uint8:
                raise ValueError(f"its image has {8 * image.itemsize} bits a channel; Caffe takes 8 alone")
            return image[:, :, None] if image.ndim == 2 else image
        shape = (datum.channels, datum.height, datum.width)
        flat = np.frombuffer(datum.data, np.uint8) if datum.data else np.array(datum.float_data, np.float32)
        if flat.size != shape[0] * shape[1] * shape[2]:
            raise ValueError(f"{flat.size} numbers for the shape {shape}")
        return flat.reshape(shape).transpose(1, 2, 0)

    def cut(
        self, pixels: np.ndarray, random: np.random.Generator | None, mean_image: np.ndarray | None = None
    ) -> np.ndarray:
        """(H, W, C): cropped, mirrored or not. Less the (C, H, W) of the mean_file as well, which lies under the crop;
        then float32. A mean of channels, and the scale, are left to the device."""
        height, width, channels = pixels.shape
        if self.mean and len(self.mean) not in (1, channels):
            raise ValueError(f"{len(self.mean)} mean values for {channels} channels")
        if mean_image is not None:
            if mean_image.shape != (channels, height, width):
                raise ValueError(
                    f"the mean file is of shape {mean_image.shape}, the record {(channels, height, width)}"
                )
            pixels = pixels.astype(np.float32) - mean_image.transpose(1, 2, 0)
        if self.crop:
            if min(height, width) < self.crop:
                raise ValueError(f"{width} x {height} is smaller than the crop of {self.crop}")
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            if self.at_random:
                top = int(random.integers(height - self.crop + 1))
                left = int(random.integers(width - self.crop + 1))
            pixels = pixels[top : top + self.crop, left : left + self.crop]
        return pixels[:, ::-1] if self.mirror and random.integers(2) else pixels


class TransformedRecords(Reader):
    """The samples of a Data layer: (H, W, C) as Transform.cut makes it, uint8 or float32, and the Datum's label."""

    def __init__(self, source: str, transform: dict[str, Any]) -> None:
        self._records, self._transform = Records(source), Transform(**transform)
        mean_file = self._transform.mean_file
        self._mean_image = read_mean(Path(mean_file)) if mean_file else None

    @classmethod
    def recipe(cls, source: str, transform: Transform) -> Recipe:
        """How any process makes it."""
        return Recipe.of(cls, source=source, transform=asdict(transform))

    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        datum, transform = self._records.datum(visit), self._transform
        random = np.random.Generator(np.random.Philox(key=seed, counter=visit)) if transform.draws else None
        try:
            return transform.cut(transform.pixels(datum), random, self._mean_image), np.float32(datum.label)
        except ValueError as error:
            raise self._records.fault(visit, str(error)) from None

    def use_one_core(self) -> None:
        cv2.setNumThreads(1)

    def close(self) -> None:
        self._records.close()


def read_mean(path: Path) -> np.ndarray:
    """The (C, H, W) of a mean_file. NetError where it is none."""
    try:
        blob = read_blob(path)
    except InputError as error:
        raise NetError(f"mean_file {error}") from None
    shape, values = blob_shape(blob, 4)[-3:], blob_values(blob)
    if len(shape) < 3 or min(shape) < 1 or values.size != math.prod(blob_shape(blob, 4)):
        raise NetError(f"mean_file {path} holds {values.size} numbers for the shape {blob_shape(blob, 4)}")
    return values.astype(np.float32).reshape(shape)
