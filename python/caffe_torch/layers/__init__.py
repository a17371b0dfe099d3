"""The table from a layer's type to what builds it; one file a family."""

from __future__ import annotations

from caffe_torch.layers.activations import AbsVal, Dropout, Power, ReLU, Sigmoid, Softmax
from caffe_torch.layers.convolution import Convolution, Deconvolution, InnerProduct
from caffe_torch.layers.losses import Accuracy, SigmoidCrossEntropyLoss, SoftmaxWithLoss
from caffe_torch.layers.normalisation import LRN, BatchNorm, Bias, Scale
from caffe_torch.layers.pooling import Pooling
from caffe_torch.layers.python import python_layer
from caffe_torch.layers.shapes import Concat, Crop, Eltwise, Flatten, Reshape, Silence, Slice, Split, Tile
from caffe_torch.layers.sources import Data, DummyData, Input

LAYERS = {
    layer.__name__: layer
    for layer in (
        *(AbsVal, Accuracy, BatchNorm, Bias, Concat, Convolution, Crop, Data, Deconvolution, Dropout, DummyData),
        *(Eltwise, Flatten, InnerProduct, Input, LRN, Pooling, Power, ReLU, Reshape, Scale, Sigmoid),
        *(SigmoidCrossEntropyLoss, Silence, Slice, Softmax, SoftmaxWithLoss, Split, Tile),
    )
} | {"Python": python_layer}
