"""Batches of an LMDB's Datums as Caffe's Data layer makes them: record v of the stream is record v mod n of the LMDB.

Crops and mirrors are drawn from (seed, place in the stream) alone: a stream that starts later, in another process or
with other workers gives the same numbers.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, ClassVar, Iterator

import cv2
import lmdb
import numpy as np
import torch
from google.protobuf.message import DecodeError, Message
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from caffe_torch.errors import NetError
from skinmtl.caffe_files.schema import caffe_messages

PREFETCHED = 4  # batches a worker, as Caffe's own prefetch


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

    def values(self, datum: Message) -> np.ndarray:
        """(C, H, W) of a Datum, decoded: uint8, or float32 where the Datum holds floats."""
        if datum.encoded:
            image = cv2.imdecode(np.frombuffer(datum.data, np.uint8), self.decoding)
            if image is None:
                raise ValueError("its image cannot be decoded")
            return (image[:, :, None] if image.ndim == 2 else image).transpose(2, 0, 1)
        shape = (datum.channels, datum.height, datum.width)
        flat = np.frombuffer(datum.data, np.uint8) if datum.data else np.array(datum.float_data, np.float32)
        if flat.size != shape[0] * shape[1] * shape[2]:
            raise ValueError(f"{flat.size} numbers for the shape {shape}")
        return flat.reshape(shape)

    def __call__(self, datum: Message, random: np.random.Generator) -> np.ndarray:
        """(C, H, W) float32: decoded, cropped, less the mean, times the scale, mirrored or not."""
        values = self.values(datum)
        channels, height, width = values.shape
        top = left = 0
        mean = self.mean
        if self.crop:
            if min(height, width) < self.crop:
                raise ValueError(f"{width} x {height} is smaller than the crop of {self.crop}")
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            if self.at_random:
                top = int(random.integers(height - self.crop + 1))
                left = int(random.integers(width - self.crop + 1))
            height = width = self.crop
        cut = values[:, top : top + height, left : left + width].astype(np.float32)
        if mean is not None:
            if mean.ndim == 3:
                if mean.shape != values.shape:
                    raise ValueError(f"the mean file is of shape {mean.shape}, the record {values.shape}")
                cut -= mean[:, top : top + height, left : left + width]
            else:
                if len(mean) not in (1, channels):
                    raise ValueError(f"{len(mean)} mean values for {channels} channels")
                cut -= mean[:, None, None]
        if self.scale != 1:
            cut *= np.float32(self.scale)
        if self.mirror and random.integers(2):
            cut = cut[:, :, ::-1]
        return cut


class RecordBatches(Dataset):
    """Batch k of the stream, for any k. Opened anew in each process that reads: an LMDB must not be shared by them.

    With `world` readers side by side, reader `rank` takes every world-th record, as Caffe's solvers of several GPUs.
    """

    def __init__(self, source: str, batch_size: int, transform: Transform, labels: bool) -> None:
        self.source, self.batch_size, self.transform, self.labels = source, batch_size, transform, labels
        self.seed, self.rank, self.world = 0, 0, 1
        self._keys: list[bytes] = []
        self._opened: _Opened | None = None
        self._transaction: lmdb.Transaction | None = None
        self._keys = self._read_keys()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None, "_transaction": None}

    def __len__(self) -> int:
        return len(self._keys)

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of a batch of images, and of their labels."""
        values = self.transform.values(self._datum(0))
        sides = (self.transform.crop, self.transform.crop) if self.transform.crop else values.shape[1:]
        return (self.batch_size, values.shape[0], *sides), (self.batch_size,)

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        images, labels = None, np.zeros(self.batch_size, np.float32)
        for place in range(self.batch_size):
            visit = (number * self.batch_size + place) * self.world + self.rank
            datum = self._datum(visit % len(self._keys))
            random = np.random.Generator(np.random.Philox(key=self.seed, counter=visit))
            try:
                values = self.transform(datum, random)
                if images is None:
                    images = np.empty((self.batch_size, *values.shape), np.float32)
                elif values.shape != images.shape[1:]:
                    raise ValueError(f"of shape {values.shape} where others have {images.shape[1:]}; set a crop_size")
            except ValueError as error:
                key = self._keys[visit % len(self._keys)].decode(errors="replace")
                raise NetError(f"{self.source}: record {key!r}: {error}") from None
            images[place] = values
            labels[place] = datum.label
        return (torch.from_numpy(images), torch.from_numpy(labels))[: 1 + self.labels]

    def stream(self, start: int, workers: int = 0, pinned: bool = False) -> Iterator[tuple[Tensor, ...]]:
        """Batches `start`, `start` + 1, ... without end, made ahead in worker processes where there are any."""
        if not workers:
            return map(self.__getitem__, _from(start))
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=_CountedFrom(start),
            num_workers=workers,
            prefetch_factor=PREFETCHED,
            pin_memory=pinned,
            multiprocessing_context="spawn",
        )
        return iter(loader)

    def _open(self) -> lmdb.Transaction:
        if self._transaction is None:
            self._opened = _Opened.of(self.source)
            self._transaction = self._opened.environment.begin(buffers=True)
        return self._transaction

    def _read_keys(self) -> list[bytes]:
        keys = [bytes(key) for key in self._open().cursor().iternext(values=False)]
        if not keys:
            raise NetError(f"{self.source}: an LMDB without records; make it again")
        return keys

    def _datum(self, record: int) -> Message:
        value = self._open().get(self._keys[record])
        try:
            return caffe_messages().Datum.FromString(bytes(value))
        except DecodeError:
            key = self._keys[record].decode(errors="replace")
            raise NetError(f"{self.source}: record {key!r} is no Datum; make the LMDB again") from None


class _Opened:
    """An LMDB that is open. A process must not open one twice: nets of two phases that read it share it."""

    _all: ClassVar[weakref.WeakValueDictionary[Path, _Opened]] = weakref.WeakValueDictionary()

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise NetError(f"{path}: no LMDB is there; make it, or correct the net's source")
        try:
            self.environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False)
        except lmdb.Error as error:
            raise NetError(f"{path}: no LMDB that can be read ({error}); make it again") from None

    @classmethod
    def of(cls, source: str) -> _Opened:
        """The one of a path."""
        path = Path(source).resolve()
        opened = cls._all.get(path)
        if opened is None:
            opened = cls._all[path] = cls(path)
        return opened


class _CountedFrom(Sampler):
    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return _from(self.start)


def _from(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1


def _read_mean(path: Path, refuse: Callable[[str], NetError]) -> np.ndarray:
    blob = caffe_messages().BlobProto()
    try:
        blob.ParseFromString(path.read_bytes())
    except OSError as error:
        raise refuse(f"mean_file {path} cannot be read ({error.strerror})") from None
    except DecodeError:
        raise refuse(f"mean_file {path} is no BlobProto") from None
    sides = list(blob.shape.dim) or [blob.num, blob.channels, blob.height, blob.width]
    values = np.array(blob.data, np.float32)
    if len(sides) < 3 or values.size != np.prod(sides):
        raise refuse(f"mean_file {path} holds {values.size} numbers for the shape {sides}")
    return values.reshape(sides[-3:])
