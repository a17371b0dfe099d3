"""A layer that does nothing: where caffe runs it, layers in Python run in the caffe program itself."""

import caffe
import cv2  # noqa: F401  (the project's own layer needs these two)
import lmdb  # noqa: F401


class Probe(caffe.Layer):
    def setup(self, bottom: object, top: object) -> None:
        pass

    def reshape(self, bottom: object, top: list) -> None:
        top[0].reshape(1)

    def forward(self, bottom: object, top: object) -> None:
        pass

    def backward(self, top: object, propagate_down: object, bottom: object) -> None:
        pass
