"""Python layers as users write them for pycaffe; BVLC Caffe and caffe_torch run the same classes."""

from __future__ import annotations

import caffe
import numpy as np


class EuclideanLoss(caffe.Layer):
    """Half the squared distance a sample; each bottom's gradient is asked for or not."""

    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise ValueError("needs two bottoms")

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise ValueError("the bottoms differ in size")
        self.difference = np.zeros_like(bottom[0].data)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.difference[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.difference**2) / bottom[0].num / 2

    def backward(self, top, propagate_down, bottom):
        for which, sign in ((0, 1), (1, -1)):
            if propagate_down[which]:
                bottom[which].diff[...] = sign * top[0].diff[0] * self.difference / bottom[which].num


class Affine(caffe.Layer):
    """Two tops: a bottom times a learned number plus that of the param_str, and its sum over height and width."""

    def setup(self, bottom, top):
        self.shift = float(self.param_str)
        self.blobs.add_blob(1)
        self.blobs[0].data[...] = 2

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
        top[1].reshape(bottom[0].num, bottom[0].channels)
        assert bottom[0].height * bottom[0].width * bottom[0].num * bottom[0].channels == bottom[0].count

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.blobs[0].data[0] + self.shift
        top[1].data[...] = bottom[0].data.sum(axis=(2, 3)) + (self.phase == caffe.TEST)

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[0] = (top[0].diff * bottom[0].data).sum()
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.blobs[0].data[0] + top[1].diff[:, :, None, None]


class Counter(caffe.Layer):
    """A data layer: how often it was called."""

    def setup(self, bottom, top):
        self.calls = 0

    def reshape(self, bottom, top):
        top[0].reshape(2, 3)

    def forward(self, bottom, top):
        self.calls += 1
        top[0].data[...] = self.calls

    def backward(self, top, propagate_down, bottom):
        pass


class Waves(caffe.Layer):
    """A data layer: images, another each time, and labels -1, 0 or 1 of as many places as the param_str says."""

    def setup(self, bottom, top):
        self.calls = 0

    def reshape(self, bottom, top):
        top[0].reshape(2, 3, 16, 16)
        top[1].reshape(2, int(self.param_str))

    def forward(self, bottom, top):
        self.calls += 1
        for number, pace in enumerate((0.7, 1.9)):
            waves = np.sin(np.arange(top[number].count) * pace + self.calls).reshape(top[number].data.shape)
            top[number].data[...] = np.round(waves) if number else waves

    def backward(self, top, propagate_down, bottom):
        pass


class Fails(caffe.Layer):
    """Fails where the param_str says."""

    def setup(self, bottom, top):
        self._fail("setup")

    def reshape(self, bottom, top):
        self._fail("reshape")
        top[0].reshape(1)

    def forward(self, bottom, top):
        self._fail("forward")

    def backward(self, top, propagate_down, bottom):
        self._fail("backward")

    def _fail(self, where):
        if where == self.param_str:
            raise ValueError(f"no luck in {where}\nand more")


class NoBackward(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        top[0].data[...] = 1


class InPlace(caffe.Layer):
    """Adds to one channel of the blob that it has as bottom and top, and leaves the others, and all gradients."""

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        top[0].data[:, 1] += 3

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[:, 0] *= 2


not_a_layer = 3
