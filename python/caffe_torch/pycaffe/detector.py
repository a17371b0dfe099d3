"""caffe.Detector: the scores of windows that are cut from images (Girshick and others 2014, R-CNN)."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

import numpy as np

from caffe_torch.pycaffe import io
from caffe_torch.pycaffe.classifier import ImageNet


class Detector(ImageNet):
    """A net of the phase TEST with one square input of images; the settings are the Transformer's.

    With `context_pad` a window is cut with what is around it, so that in the input that many pixels on each side are
    context; where the image ends there, the mean stands.
    """

    def __init__(
        self,
        model_file: str,
        pretrained_file: str,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[str, Sequence]]) -> list[dict[str, Any]]:
        """Of images' files, each with its windows (top, left, bottom, right): `window`, `prediction` and `filename` of
        each window."""
        found, crops, name = [], [], self.inputs[0]
        for filename, windows in images_windows:
            image = io.load_image(filename).astype(np.float32)
            for window in windows:
                crops.append(self.transformer.preprocess(name, self.crop(image, window)))
                found.append({"window": window, "filename": filename})
        scores = self.forward_all(**{name: np.array(crops)})[self.outputs[0]] if crops else []
        return [{**each, "prediction": prediction} for each, prediction in zip(found, scores)]

    def crop(self, im: np.ndarray, window: Sequence[int]) -> np.ndarray:
        """A window of an image (H, W, K), as it is or, with context, in the size of the input."""
        top, left, bottom, right = (int(side) for side in window)
        if not self.context_pad:
            return im[top:bottom, left:right]
        side = int(self.crop_dims[0])
        box = self._with_context(np.array([top, left, bottom, right], float), side)
        factors = side / (box[2:] - box[:2] + 1)
        before = [round(each) for each in np.maximum(0, -box[:2]) * factors]  # of the input, beyond the image
        box = np.clip(box, 0, np.tile(im.shape[:2], 2)).astype(int)
        size = [round(each) for each in (box[2:] - box[:2] + 1) * factors]
        size = [min(each, side - start) for each, start in zip(size, before)]
        crop = np.ones(self.crop_dims, np.float32) * self.crop_mean
        cut = im[box[0] : box[2], box[1] : box[3]]
        crop[before[0] : before[0] + size[0], before[1] : before[1] + size[1]] = io.resize_image(cut, size)
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Sets how much context windows have, and what stands where an image ends."""
        name, self.context_pad = self.inputs[0], context_pad
        self.crop_dims = np.array(self.blobs[name].shape[1:])[[1, 2, 0]]
        self.crop_mean = np.zeros(self.crop_dims, np.float32)
        if name in self.transformer.mean:  # as images are before the Transformer
            self.crop_mean = self.transformer.mean[name].transpose(1, 2, 0).astype(np.float32)
            if name in self.transformer.channel_swap:
                self.crop_mean = self.crop_mean[:, :, np.argsort(self.transformer.channel_swap[name])]
            self.crop_mean = self.crop_mean / np.float32(self.transformer.raw_scale.get(name, 1))

    def _with_context(self, window: np.ndarray, side: int) -> np.ndarray:
        """The window enlarged about its centre, in whole pixels, which may lie outside of the image."""
        half = (window[2:] - window[:2] + 1) / 2
        enlarged = half * side / (side - 2 * self.context_pad)
        centre = window[:2] + half
        return np.round(np.concatenate([centre - enlarged, centre + enlarged]))
