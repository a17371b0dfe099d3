"""AlexNet as BVLC publishes it, layer by layer, and the options of our net: what its tests share."""

from __future__ import annotations

from types import SimpleNamespace

from skinmtl.nets.multi_task import NetOptions

# name, type, bottom, shape of the top for one image, shape of the weights; written down from BVLC's
# models/bvlc_alexnet/deploy.prototxt and from the paper that it replicates
PUBLISHED = """
conv1  Convolution   data   1x96x55x55   96x3x11x11
relu1  ReLU          conv1  1x96x55x55   -
norm1  LRN           conv1  1x96x55x55   -
pool1  Pooling       norm1  1x96x27x27   -
conv2  Convolution   pool1  1x256x27x27  256x48x5x5
relu2  ReLU          conv2  1x256x27x27  -
norm2  LRN           conv2  1x256x27x27  -
pool2  Pooling       norm2  1x256x13x13  -
conv3  Convolution   pool2  1x384x13x13  384x256x3x3
relu3  ReLU          conv3  1x384x13x13  -
conv4  Convolution   conv3  1x384x13x13  384x192x3x3
relu4  ReLU          conv4  1x384x13x13  -
conv5  Convolution   conv4  1x256x13x13  256x192x3x3
relu5  ReLU          conv5  1x256x13x13  -
pool5  Pooling       conv5  1x256x6x6    -
fc6    InnerProduct  pool5  1x4096       4096x9216
relu6  ReLU          fc6    1x4096       -
drop6  Dropout       fc6    1x4096       -
fc7    InnerProduct  fc6    1x4096       4096x4096
relu7  ReLU          fc7    1x4096       -
drop7  Dropout       fc7    1x4096       -
"""


def published():
    for line in PUBLISHED.strip().splitlines():
        name, kind, bottom, top, weights = line.split()
        yield SimpleNamespace(name=name, kind=kind, bottom=bottom, top=shape(top), weights=shape(weights))


def shape(text):
    return [] if text == "-" else [int(number) for number in text.split("x")]


def options(**changes):
    settings = {
        "model": "alexnet_lesion",
        "trunk": "alexnet",
        "crop": 227,
        "lesions": 25,
        "locations": 23,
        "train_data": "data/train",
        "test_data": "data/test",
        "batch_size": 256,
        "test_batch_size": 50,
        "frozen_batch_norm": True,
    }
    return NetOptions(**{**settings, **changes})
