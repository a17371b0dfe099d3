"""The blobs of a trained net that other tools read beside its outputs: the features, and the maps that they average."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from caffe_files.prototxt import read_net
from skinmtl.nets.net_record import read_net_record

HEADS = ("fc_lesion", "fc_location")


class Blobs(NamedTuple):
    """`features` are what the heads stand on, one vector an image; `maps`, N x C x H x W, are what class activation
    maps are made of, where the features are an average."""

    features: str = "pool5"
    maps: str | None = "res5c"


def blobs_of(deploy: Path) -> Blobs:
    """As net.json beside the net says; else what the heads stand on, and what that is the average of; without heads, a
    ResNet's."""
    known = read_net_record(deploy.parent)
    if known and known.features_blob:
        return Blobs(known.features_blob, known.maps_blob)
    layers = list(read_net(deploy).layer)
    heads = [layer for layer in layers if layer.name in HEADS and layer.bottom]
    if not heads:
        return Blobs()
    features = heads[0].bottom[0]
    maker = next((layer for layer in layers if features in layer.top), None)
    pooled = maker is not None and maker.type == "Pooling" and maker.pooling_param.pool == maker.pooling_param.AVE
    return Blobs(features, maker.bottom[0] if pooled and maker.bottom else None)
