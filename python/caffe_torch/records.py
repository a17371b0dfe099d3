"""Records of an LMDB as Caffe's Data layer sees them: visit v of the stream shows record v mod n.

Crops and mirrors are drawn from (seed, visit) alone: a stream that starts later, in another process, with other workers
or on other devices gives the same numbers. Nothing here needs PyTorch, so that a worker process starts fast.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, ClassVar

import cv2
import lmdb
import numpy as np
from google.protobuf.message import DecodeError, Message

from caffe_files.blobs import blob_shape, blob_values
from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb
from caffe_files.prototxt import read_blob
from caffe_files.schema import caffe_messages
from caffe_files.unknown_fields import unknown_field
from caffe_torch.errors import NetError


@dataclass(frozen=True)
class Transform:
    """Caffe's transform_param. `mean` is (C), or (C, H, W) from a mean_file."""

    crop: int
    mirror: bool
    at_random: bool
    mean: np.ndarray | None
    scale: float
    decoding: int

    @classmethod
    def of(cls, settings: Message, training: bool, refuse: Callable[[str], NetError]) -> Transform:
        """From the settings; crops are at random in training, else of the centre."""
        mean = None
        if settings.mean_file and settings.mean_value:
            raise refuse("mean_file and mean_value are given both")
        if settings.mean_file:
            mean = _read_mean(Path(settings.mean_file), refuse)
        elif settings.mean_value:
            mean = np.array(settings.mean_value, np.float32)
        if settings.force_color and settings.force_gray:
            raise refuse("force_color and force_gray are given both")
        decoding = cv2.IMREAD_UNCHANGED
        if settings.force_color or settings.force_gray:
            decoding = cv2.IMREAD_COLOR if settings.force_color else cv2.IMREAD_GRAYSCALE
        return cls(settings.crop_size, settings.mirror, training, mean, settings.scale, decoding)

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

    def cut(self, pixels: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
        """(H, W, C): cropped, mirrored or not. Less a mean of whole images as well, which lies under the crop; then
        float32. A mean of channels, and the scale, are left to the device."""
        height, width, channels = pixels.shape
        if self.mean is not None and self.mean.ndim == 1 and len(self.mean) not in (1, channels):
            raise ValueError(f"{len(self.mean)} mean values for {channels} channels")
        if self.mean is not None and self.mean.ndim == 3:
            if self.mean.shape != (channels, height, width):
                raise ValueError(f"the mean file is of shape {self.mean.shape}, the record {(channels, height, width)}")
            pixels = pixels.astype(np.float32) - self.mean.transpose(1, 2, 0)
        if self.crop:
            if min(height, width) < self.crop:
                raise ValueError(f"{width} x {height} is smaller than the crop of {self.crop}")
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            if self.at_random:
                top = int(random.integers(height - self.crop + 1))
                left = int(random.integers(width - self.crop + 1))
            pixels = pixels[top : top + self.crop, left : left + self.crop]
        return pixels[:, ::-1] if self.mirror and random.integers(2) else pixels


class Lmdb:
    """The Datums of an LMDB in the order of its keys. Pickled, it is opened anew: no process may use another's."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._opened: _Opened | None = None
        self._transaction: lmdb.Transaction | None = None
        self._keys = [bytes(key) for key in self._open().cursor().iternext(values=False)]
        if not self._keys:
            raise NetError(f"{source}: an LMDB without records; make it again")

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None, "_transaction": None}

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, visit: int) -> str:
        """The key of a visit's record."""
        return self._keys[visit % len(self._keys)].decode(errors="replace")

    def datum(self, visit: int) -> Message:
        """The Datum of a visit's record."""
        value = bytes(self._open().get(self._keys[visit % len(self._keys)]))
        datum = caffe_messages().Datum()
        try:
            datum.ParseFromString(value)
        except DecodeError:
            raise NetError(f"{self.source}: record {self.key(visit)!r} is no Datum; make the LMDB again") from None
        datum.DiscardUnknownFields()
        # of another length are unknown fields, and known ones in a form that only others write
        unknown = datum.ByteSize() != len(value) and unknown_field(value, datum.DESCRIPTOR)
        if unknown:
            raise NetError(
                f"{self.source}: record {self.key(visit)!r}: {unknown} is not known here; make the LMDB again"
            )
        return datum

    def _open(self) -> lmdb.Transaction:
        if self._transaction is None:
            self._opened = _Opened.of(self.source)
            self._transaction = self._opened.environment.begin(buffers=True)
        return self._transaction


class TransformedRecords:
    """The samples of a Data layer."""

    def __init__(self, source: str, transform: Transform) -> None:
        self.seed = 0
        self._records, self._transform = Lmdb(source), transform

    def sample(self, visit: int) -> tuple[np.ndarray, int]:
        """(H, W, C) as Transform.cut makes it, uint8 or float32, and the Datum's label."""
        datum = self._records.datum(visit)
        random = None
        if self._transform.draws:
            random = np.random.Generator(np.random.Philox(key=self.seed, counter=visit))
        try:
            return self._transform.cut(self._transform.pixels(datum), random), datum.label
        except ValueError as error:
            raise NetError(f"{self._records.source}: record {self._records.key(visit)!r}: {error}") from None


class _Opened:
    """An LMDB that is open. A process must not open one twice: nets of two phases that read it share it."""

    _all: ClassVar[weakref.WeakValueDictionary[Path, _Opened]] = weakref.WeakValueDictionary()

    def __init__(self, path: Path) -> None:
        self.environment = open_lmdb(path)

    @classmethod
    def of(cls, source: str) -> _Opened:
        """The one of a path."""
        path = Path(source).resolve()
        opened = cls._all.get(path)
        if opened is None:
            opened = cls._all[path] = cls(path)
        return opened


def _read_mean(path: Path, refuse: Callable[[str], NetError]) -> np.ndarray:
    try:
        blob = read_blob(path)
    except InputError as error:
        raise refuse(f"mean_file {error}") from None
    shape, values = blob_shape(blob, 4)[-3:], blob_values(blob)
    if len(shape) < 3 or min(shape) < 1 or values.size != math.prod(blob_shape(blob, 4)):
        raise refuse(f"mean_file {path} holds {values.size} numbers for the shape {blob_shape(blob, 4)}")
    return values.astype(np.float32).reshape(shape)
