"""A trunk from a net that was published as a deploy prototxt: its layers up to a blob, under their own names.

The file is data that can harm: no layer goes into our nets but those of layer_shapes.TRUNK_LAYERS, and nothing of the
file is built before that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.nets.layer_shapes import TooSmallError
from skinmtl.nets.trunk_cut import cut_net
from skinmtl.nets.trunk_fit import SCALED, Fitted, fitted

# what a net of ours has beside its trunk, layers and blobs
TAKEN = (
    *("data", SCALED, "location_top1", "location_top3"),
    *(name.format(head) for head in ("lesion", "location") for name in ("{}_label", "fc_{}", "{}_loss", "{}_prob")),
)


@dataclass(frozen=True)
class GivenTrunk:
    """A published net up to the blob `features`, which the heads stand on, or on its average where it has many places.

    `layers` are the net's own, in its order; `source` is its input's name there, and `side` what that is published for,
    None where the file does not say. `maps` is the blob that class activation maps are made of, where one is named;
    else it is what the features are the average of, if they are. `input_scale` multiplies the pixels less their mean,
    for nets that were trained so. `replaced` are the types of layers that stock Caffe has not, and others stand for.
    """

    path: Path
    name: str
    sha256: str
    layers: tuple[Message, ...]
    source: str
    side: int | None
    features: str
    maps: str | None = None
    input_scale: float | None = None
    replaced: tuple[str, ...] = ()
    # of ImageNet, as BVLC writes it where it gives numbers (its bvlc_googlenet); a net's own page may say another
    mean: ClassVar[tuple[float, float, float]] = (104.0, 117.0, 123.0)

    @property
    def crop(self) -> int:
        """The published input's side. InputError where the file names none."""
        if self.side is None:
            raise InputError(f"{self.path}: says no square input that it is for; give --crop")
        return self.side

    @property
    def has_batch_norm(self) -> bool:
        """Whether there are statistics to freeze."""
        return any(layer.type == "BatchNorm" for layer in self.layers)

    def append(self, net: Message, crop: int, frozen: bool) -> str:
        """Appends the layers from the blob `data` on; the blob that the heads stand on is returned.

        `frozen` BatchNorm uses the stored statistics in training too; otherwise Caffe's default holds.
        """
        found = self.fitted(crop)
        for layer in found.layers:
            if layer.type == "BatchNorm":
                layer.batch_norm_param.ClearField("use_global_stats")
                if frozen:
                    layer.batch_norm_param.use_global_stats = True
            net.layer.add().CopyFrom(layer)
        return found.features

    def fitted(self, crop: int) -> Fitted:
        """The layers for an input of `crop` pixels. InputError where it is too small, or a layer cannot be built."""
        try:
            found = fitted(self.layers, self.source, self.side, crop, self.features, self.maps, self.input_scale)
            said = [f"{kind} is not of stock Caffe: written in layers that are" for kind in self.replaced]
            return replace(found, notes=[*said, *found.notes])
        except TooSmallError as error:
            raise InputError(f"{self.path}: a crop of {crop} is too small: {error}; give a larger --crop") from None
        except InputError as error:
            raise InputError(f"{self.path}: {error}; correct the net, or name other blobs") from None

    def record(self) -> dict[str, str]:
        """Where the trunk is from, for net.json."""
        return {"file": self.path.name, "sha256": self.sha256, "features": self.features}


def read_given_trunk(
    path: Path, features: str, maps: str | None = None, input_scale: float | None = None
) -> GivenTrunk:
    """A deploy prototxt up to the blob `features`. InputError where it has none, or a layer that no trunk may have."""
    net = read_net(path, strict=True)
    cut = cut_net(net, [blob for blob in (features, maps) if blob], path)
    _check_names(cut.layers, cut.source, path)
    side = cut.shape[2] if cut.shape and cut.shape[2] == cut.shape[3] and cut.shape[2] > 0 else None
    name = re.sub(r"[^a-z0-9]+", "_", net.name.lower()).strip("_")
    name = re.sub(r"_(mtl|lesion|location)$", "", name) or "trunk"  # of a net of ours, which gets it again
    layers = tuple(cut.layers)
    replaced = tuple(cut.replaced)
    return GivenTrunk(path, name, sha256(path), layers, cut.source, side, features, maps, input_scale, replaced)


def _check_names(layers: list[Message], source: str, path: Path) -> None:
    """InputError where a layer's name stands twice, or one is that of a head, a loss or the data."""
    seen = set()
    for layer in layers:
        clash = next((name for name in (layer.name, *layer.top) if name in TAKEN and name != source), None)
        if layer.name == "data" or clash:
            raise InputError(
                f"{path}: layer {layer.name!r} has the name {clash or 'data'}, which the net to be made has for its "
                "own; name a --features below it, or rename it, in the weights too"
            )
        if layer.name in seen:
            raise InputError(f"{path}: two layers are called {layer.name!r}: weights would not know theirs; rename one")
        seen.add(layer.name)
