"""caffe.Classifier: a net that takes images and gives the scores of their classes."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from caffe_torch.pycaffe import io
from caffe_torch.pycaffe.net import Net


class ImageNet(Net):
    """A net of the phase TEST with one input of images, and their `transformer`."""

    def __init__(
        self,
        model_file: str,
        pretrained_file: str,
        mean: np.ndarray | None,
        input_scale: float | None,
        raw_scale: float | None,
        channel_swap: Sequence[int] | None,
    ) -> None:
        super().__init__(model_file, 1, weights=pretrained_file)
        name = self.inputs[0]
        self.transformer = io.Transformer({name: self.blobs[name].shape})
        self.transformer.set_transpose(name, (2, 0, 1))
        for what, value in (("mean", mean), ("input_scale", input_scale), ("raw_scale", raw_scale)):
            if value is not None:
                getattr(self.transformer, f"set_{what}")(name, value)
        if channel_swap is not None:
            self.transformer.set_channel_swap(name, channel_swap)


class Classifier(ImageNet):
    """The settings are the Transformer's. `image_dims` is the size that images take before crops of the input's size
    are cut from them."""

    def __init__(
        self,
        model_file: str,
        pretrained_file: str,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        self.image_dims = np.array(self.crop_dims if image_dims is None else image_dims)

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """(N, classes): the scores of N images (H, W, K), as means of ten crops, or of the one in the centre."""
        images = [io.resize_image(np.asarray(image), self.image_dims) for image in inputs]
        crops = io.oversample(images, self.crop_dims) if oversample else self._centres(images)
        name = self.inputs[0]
        ready = np.array([self.transformer.preprocess(name, crop) for crop in crops])
        scores = self.forward_all(**{name: ready})[self.outputs[0]]
        return scores.reshape(len(images), 10, -1).mean(1) if oversample else scores

    def _centres(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        height, width = self.crop_dims
        top, left = (self.image_dims - self.crop_dims) // 2
        return [image[top : top + height, left : left + width] for image in images]
