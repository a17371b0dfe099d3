"""The table from a layer's type to what builds it; one file a family."""

from __future__ import annotations

from caffe_torch.layers.activations import (
    BNLL,
    ELU,
    AbsVal,
    Dropout,
    Exp,
    Log,
    Power,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    TanH,
    Threshold,
)
from caffe_torch.layers.convolution import Convolution, Deconvolution, Embed, InnerProduct
from caffe_torch.layers.files import HDF5Data, ImageData
from caffe_torch.layers.losses import Accuracy, SigmoidCrossEntropyLoss, SoftmaxWithLoss
from caffe_torch.layers.normalisation import LRN, MVN, BatchNorm, Bias, Scale
from caffe_torch.layers.other_losses import (
    ContrastiveLoss,
    EuclideanLoss,
    HingeLoss,
    InfogainLoss,
    MultinomialLogisticLoss,
)
from caffe_torch.layers.pooling import SPP, Pooling
from caffe_torch.layers.python import python_layer
from caffe_torch.layers.recurrent import LSTM, RNN
from caffe_torch.layers.reductions import ArgMax, Reduction
from caffe_torch.layers.shapes import Concat, Crop, Eltwise, Flatten, Reshape, Silence, Slice, Split, Tile
from caffe_torch.layers.sources import Data, DummyData, Input, MemoryData

LAYERS = {
    layer.__name__: layer
    for layer in (
        *(AbsVal, Accuracy, BatchNorm, Bias, Concat, Convolution, Crop, Data, Deconvolution, Dropout, DummyData),
        *(Eltwise, Flatten, InnerProduct, Input, LRN, Pooling, Power, ReLU, Reshape, Scale, Sigmoid),
        *(SigmoidCrossEntropyLoss, Silence, Slice, Softmax, SoftmaxWithLoss, Split, Tile),
        *(ArgMax, BNLL, ContrastiveLoss, ELU, Embed, EuclideanLoss, Exp, HingeLoss, InfogainLoss, Log, MVN),
        *(MultinomialLogisticLoss, PReLU, Reduction, SPP, TanH, Threshold),
        *(HDF5Data, ImageData, LSTM, MemoryData, RNN),
    )
} | {"Python": python_layer}
