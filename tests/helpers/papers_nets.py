"""The paper's nets, and what differs from them by a setting."""

from __future__ import annotations

from skinmtl.nets.multi_task import NetOptions, make_net


def options(**changes):
    settings = {
        "model": "resnet50_mtl",
        "trunk": "resnet50",
        "crop": 224,
        "lesions": 25,
        "locations": 23,
        "train_data": "data/train",
        "test_data": "data/test",
        "batch_size": 20,
        "test_batch_size": 20,
        "frozen_batch_norm": True,
    }
    return NetOptions(**{**settings, **changes})


def layers(split, **changes):
    return {layer.name: layer for layer in make_net(options(**changes), split).layer}
