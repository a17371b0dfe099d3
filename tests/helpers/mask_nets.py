"""Mask nets for tests: small ones that run in a moment, and images for them without an LMDB."""

from __future__ import annotations

import numpy as np

from caffe_files.prototxt import message_text
from skinmtl.nets.mask_net import make_mask_net
from skinmtl.nets.mask_options import MaskNetOptions

# 64 x 64 pixels, few channels, few regions
SMALL = {
    **{"model": "resnet50_mask_rcnn", "trunk": "tiny", "side": 64, "lesions": 2, "locations": 3},
    **{"train_data": "data/train", "test_data": "data/test", "batch_size": 2, "test_batch_size": 2},
    **{"frozen_batch_norm": False, "channels": 8, "rpn_channels": 8, "full": 16, "mask_channels": 8},
    **{"proposals": (20, 10), "rois": 12},
}
SOLVER = """train_net: "{net}" base_lr: 0.01 momentum: 0.9 weight_decay: 0.0001 lr_policy: "fixed" max_iter: 99
clip_gradients: 5 random_seed: 1 snapshot_after_train: false"""


def small(**changes):
    """The options of a small net."""
    return MaskNetOptions(**{**SMALL, **changes})


def published(**changes):
    """The options of the committed ResNet-50 net."""
    data = {"train_data": "data/train", "test_data": "data/validation", "batch_size": 2, "test_batch_size": 2}
    given = {"model": "resnet50_mask_rcnn", "trunk": "resnet50", "side": 1024, "lesions": 2, "locations": 0}
    return MaskNetOptions(**{**given, **data, "frozen_batch_norm": True, **changes})


def fed(options, net=None):
    """A train net whose data layers are inputs, to be filled by `fill`."""
    net = make_mask_net(options, "train") if net is None else net
    count, side = options.batch_size, options.side
    shapes = {
        "data": [(count, 3, side, side), (count, 4), (count, 4), (count,), (count, 1, side, side), (count, 2)],
        "lesion_label": [(count, options.lesions, 1, 1)],
        "location_label": [(count, 1, 1, 1)],
    }
    for layer in net.layer:
        if layer.name in shapes:
            layer.type = "Input"
            layer.ClearField("python_param")
            layer.ClearField("data_param")
            for shape in shapes[layer.name]:
                layer.input_param.shape.add(dim=shape)
    return net


def fill(blobs, side, seed=0):
    """Two images with a lesion each, of one class and the other."""
    random = np.random.RandomState(seed)
    blobs["data"].data[...] = random.randn(*blobs["data"].data.shape) * 10
    blobs["window"].data[...] = [0, 0, side, side]
    blobs["mask"].data[...] = 0
    for number, start in enumerate((side // 5, side // 3)):
        end = start + side // 2
        blobs["box"].data[number] = [start, start, end, end]
        blobs["class_label"].data[number] = 1 + number
        blobs["mask"].data[number, 0, start:end, start:end] = 1
        blobs["data"].data[number, :, start:end, start:end] -= 60 * (1 + number)
    blobs["draw"].data[...] = random.randint(0, 2**24, blobs["draw"].data.shape)


def solver_of(folder, options, net=None):
    """An SGDSolver of BVLC Caffe on such a net, with its images."""
    import caffe

    path = folder / "train.prototxt"
    path.write_text(message_text(fed(options, net)))
    (folder / "solver.prototxt").write_text(SOLVER.format(net=path))
    solver = caffe.SGDSolver(str(folder / "solver.prototxt"))
    fill(solver.net.blobs, options.side)
    return solver
