"""A small net with drawn weights, for tests that need no training; its files need no engine to be made."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace

import numpy as np

from caffe_files.blobs import store_blob
from caffe_files.prototxt import read_net
from caffe_files.schema import caffe_messages
from skinmtl.engines.engine import Engine
from skinmtl.publishing.exporting import Request
from skinmtl.training.trained_net import TrainedNet

ENGINE = Engine("caffe" if importlib.util.find_spec("caffe") else "torch")
NAMES = {"lesion": ["naevus", "melanoma|in situ", "crust"], "location": ["arm", "leg", "face", "scalp"]}
MEAN = (104.0, 116.5, 122.75)
SIDE, SHORT_SIDE = 32, 40
SHAPES = {
    "conv1": [(4, 3, 3, 3), (4,)],
    "bn_conv1": [(4,), (4,), (1,)],
    "scale_conv1": [(4,), (4,)],
    "res2a_branch1": [(6, 4, 1, 1)],
    "fc_lesion": [(3, 6), (3,)],
    "fc_location": [(4, 6), (4,)],
}
TRUNK = """
layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: [1, 3, 32, 32] } } }
layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: 'bn_conv1' type: 'BatchNorm' bottom: 'conv1' top: 'conv1' }
layer { name: 'scale_conv1' type: 'Scale' bottom: 'conv1' top: 'conv1' scale_param { bias_term: true } }
layer { name: 'conv1_relu' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
layer { name: 'pool1' type: 'Pooling' bottom: 'conv1' top: 'pool1'
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: 'res2a_branch1' type: 'Convolution' bottom: 'pool1' top: 'res5c'
  convolution_param { num_output: 6 kernel_size: 1 bias_term: false } }
layer { name: 'res5c_relu' type: 'ReLU' bottom: 'res5c' top: 'res5c' }
layer { name: 'pool5' type: 'Pooling' bottom: 'res5c' top: 'pool5' pooling_param { pool: AVE kernel_size: 8 } }
"""
KINDS = {"lesion": "Sigmoid", "location": "Softmax"}


def write_small_net(folder, heads=("lesion", "location"), labels=True):
    """deploy.prototxt, test.prototxt with the mean, labels.json and small.caffemodel."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"name: 'small_{'_'.join(heads)}'{TRUNK}"
    for head in heads:
        text += (
            f"layer {{ name: 'fc_{head}' type: 'InnerProduct' bottom: 'pool5' top: 'fc_{head}' "
            f"inner_product_param {{ num_output: {len(NAMES[head])} }} }}\n"
            f"layer {{ name: '{head}_prob' type: '{KINDS[head]}' bottom: 'fc_{head}' top: '{head}_prob' }}\n"
        )
    (folder / "deploy.prototxt").write_text(text)
    means = " ".join(f"mean_value: {value}" for value in MEAN)
    (folder / "test.prototxt").write_text(f"layer {{ name: 'data' type: 'Data' transform_param {{ {means} }} }}")
    if labels:
        (folder / "labels.json").write_text(json.dumps({f"{head}_names": NAMES[head] for head in heads}))
    write_drawn_weights(folder / "deploy.prototxt", SHAPES, folder / "small.caffemodel")
    return SimpleNamespace(folder=folder, deploy=folder / "deploy.prototxt", weights=folder / "small.caffemodel")


def write_drawn_weights(deploy, shapes, path, seed=1):
    """A caffemodel with drawn weights for the layers of `shapes`: numbers keep one size down the net."""
    random = np.random.RandomState(seed)
    model = caffe_messages().NetParameter(name="drawn")
    for layer in read_net(deploy).layer:
        blobs = shapes.get(layer.name, [])
        if blobs:
            stored = model.layer.add(name=layer.name, type=layer.type)
        for number, shape in enumerate(blobs):
            if layer.type == "BatchNorm":
                values = random.uniform(0.5, 1.5, shape)
                if layer.name == "bn_conv1" and number == 1:  # of pixels
                    values *= 4000
            elif len(shape) > 1:
                values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
            else:
                values = random.uniform(-0.5, 0.5, shape)
            store_blob(stored.blobs.add(), values.astype(np.float32))
    path.write_bytes(model.SerializeToString())


def request(net, **changes):
    """What export.py asks for, on the engine that is here."""
    settings = dict(
        name=None,
        mean=None,
        short_side=SHORT_SIDE,
        manifest=None,
        metrics=[],
        licence=None,
        onnx=False,
        state_dict=None,
        engine=ENGINE,
    )
    return Request(**{**settings, "source": TrainedNet(net.deploy, net.weights), **changes})
