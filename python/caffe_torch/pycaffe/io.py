"""caffe.io: images as nets take them. Images are H x W x K, as numpy arrays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Mapping, Sequence

import cv2
import numpy as np
from google.protobuf.message import Message

from caffe_files.blobs import blob_values, store_blob
from caffe_files.errors import InputError
from caffe_torch.pycaffe.proto import caffe_pb2

LUMINANCE = (0.2125, 0.7154, 0.0721)  # of red, green and blue, as scikit-image takes them for pycaffe


def load_image(filename: str, color: bool = True) -> np.ndarray:
    """An image file as float32 from 0 to 1: RGB, or with `color=False` one channel. An orientation that the file tells
    of is not looked at, and an alpha channel is left out."""
    pixels = cv2.imread(str(filename), cv2.IMREAD_UNCHANGED) if Path(filename).is_file() else None
    if pixels is None:
        raise InputError(f"{filename}: no image that can be read; check the path")
    image = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, 2) if color else image[:, :, None]
    image = image[:, :, 2::-1]
    return image if color else (image @ np.float32(LUMINANCE))[:, :, None]


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """The image in another size, linearly between pixels, as float32.

    With 1 or 3 channels, pixels are areas, made smoother before they become fewer, and beyond the edge lies the
    image's smallest number; with others they are points, and the corners stay where they are. pycaffe leaves the
    first to scikit-image and the second to scipy's zoom. ValueError for an `interp_order` other than 1.
    """
    if interp_order != 1:
        raise ValueError(f"interp_order {interp_order}: only 1, linear, is there")
    weights = _of_areas if im.shape[-1] in (1, 3) else _of_points
    rows, columns = (weights(old, int(new)) for old, new in zip(im.shape, new_dims))
    least = im.min()
    found = np.einsum("ih,hwk,jw->ijk", rows, im.astype(np.float64) - least, columns, optimize=True)
    return (found + least).astype(np.float32)


def oversample(images: Sequence[np.ndarray], crop_dims: Sequence[int]) -> np.ndarray:
    """(10 N, height, width, K), float32: of each image its four corners, its centre, and these five mirrored."""
    height, width = (int(each) for each in crop_dims)
    crops = []
    for image in images:
        down, right = image.shape[0] - height, image.shape[1] - width
        places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        five = [image[top : top + height, left : left + width] for top, left in places]
        crops += [*five, *(crop[:, ::-1] for crop in five)]
    return np.array(crops, np.float32)


def blobproto_to_array(blob: Message, return_diff: bool = False) -> np.ndarray:
    """The numbers of a BlobProto, or its diff, in its shape."""
    values = np.array(blob.diff) if return_diff else blob_values(blob).copy()
    old = any(blob.HasField(side) for side in ("num", "channels", "height", "width"))
    return values.reshape((blob.num, blob.channels, blob.height, blob.width) if old else tuple(blob.shape.dim))


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Message:
    """A BlobProto of an array, and of its diff."""
    blob = caffe_pb2.BlobProto()
    store_blob(blob, np.asarray(arr, np.float32))
    if diff is not None:
        blob.diff.extend(np.asarray(diff, np.float64).reshape(-1).tolist())
    return blob


class Transformer:
    """Makes of images what a net's inputs take, and back: `inputs` has the shape of each input by its name.

    In this order: another size, `transpose` of axes, `channel_swap`, times `raw_scale`, less `mean`, times
    `input_scale`; what is not set is not done.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = {name: tuple(shape) for name, shape in inputs.items()}
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """An image (H, W, K) as the input takes it, float32."""
        self._check(in_)
        found = np.array(data, np.float32)
        if found.shape[:2] != self.inputs[in_][2:]:
            found = resize_image(found, self.inputs[in_][2:])
        if in_ in self.transpose:
            found = found.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            found = found[list(self.channel_swap[in_])]
        found = found * np.float32(self.raw_scale.get(in_, 1))
        if in_ in self.mean:
            found = found - self.mean[in_]
        return (found * np.float32(self.input_scale.get(in_, 1))).astype(np.float32)

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """`preprocess` undone, but for the size."""
        self._check(in_)
        found = np.squeeze(data) / self.input_scale.get(in_, 1)
        if in_ in self.mean:
            found = found + self.mean[in_]
        found = found / self.raw_scale.get(in_, 1)
        if in_ in self.channel_swap:
            found = found[np.argsort(self.channel_swap[in_])]
        return found.transpose(np.argsort(self.transpose[in_])) if in_ in self.transpose else found

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of axes: (2, 0, 1) for an image."""
        self._set("transpose", in_, order, len(order) == len(self._check(in_)) - 1)

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of channels: (2, 1, 0) for RGB to BGR."""
        self._set("channel_swap", in_, order, len(order) == self._check(in_)[1])

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """What pixels are multiplied by before the mean is taken off: 255 for images from 0 to 1."""
        self._set("raw_scale", in_, scale, bool(self._check(in_)))

    def set_input_scale(self, in_: str, scale: float) -> None:
        """What numbers are multiplied by in the end."""
        self._set("input_scale", in_, scale, bool(self._check(in_)))

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """One number a channel, or an image (K, H, W), which takes the size of the input."""
        _, channels, *size = self._check(in_)
        mean = np.asarray(mean)
        if mean.ndim == 1:
            mean = mean[:, None, None]
        elif mean.ndim == 2:
            mean = mean[None]
        if mean.ndim == 3 and mean.shape[0] == channels and mean.shape[1:] not in ((1, 1), tuple(size)):
            mean = resize_image(mean.transpose(1, 2, 0), size).transpose(2, 0, 1)
        self._set("mean", in_, mean, mean.ndim == 3 and mean.shape[0] in (1, channels))

    def _check(self, name: str) -> tuple[int, ...]:
        if name not in self.inputs:
            raise ValueError(f"{name} is no input; it is one of {', '.join(self.inputs)}")
        return self.inputs[name]

    def _set(self, what: str, name: str, value: Any, fits: bool) -> None:
        if not fits:
            raise ValueError(f"{what} {np.shape(value)} does not fit the input {name} of {self.inputs[name]}")
        getattr(self, what)[name] = value


def _linear(at: np.ndarray, old: int) -> np.ndarray:
    """(new, old): the weights of pixels 0, 1, ... at places between them, and of none beyond the edges."""
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))


def _of_points(old: int, new: int) -> np.ndarray:
    return _linear(np.linspace(0, old - 1, new), old)


def _of_areas(old: int, new: int) -> np.ndarray:
    between = _linear((np.arange(new) + 0.5) * old / new - 0.5, old)
    deviation = max(0.0, (old / new - 1) / 2)
    if not deviation:
        return between
    radius = math.floor(4 * deviation + 0.5)
    apart = np.arange(old)[:, None] - np.arange(old)
    bell = np.exp(-0.5 * (apart / deviation) ** 2) * (np.abs(apart) <= radius)
    return between @ (bell / np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2).sum())
