"""The layers that Caffe adds to a net, and which layers its backward pass goes through (BVLC: insert_splits.cpp,
net.cpp)."""

from __future__ import annotations

from collections import Counter
from typing import Sequence

from google.protobuf.message import Message

from caffe_files.schema import caffe_messages
from caffe_torch.layers.layer import Layer
from caffe_torch.layers.normalisation import BatchNorm
from caffe_torch.net import Net

Top = tuple  # (place of the layer, place of the top)


def with_splits(layers: Sequence[Message]) -> list[Message]:
    """The layers, and a Split behind each top that several bottoms read, or that is read and a loss of its own."""
    last: dict[str, Top] = {}
    sources: list[list[Top | None]] = []
    readers: Counter[Top] = Counter()
    for place, layer in enumerate(layers):
        sources.append([last.get(bottom) for bottom in layer.bottom])
        readers.update(source for source in sources[-1] if source)
        last.update((top, (place, number)) for number, top in enumerate(layer.top))
        readers.update((place, number) for number, weight in enumerate(layer.loss_weight[: len(layer.top)]) if weight)
    result, handed = [], Counter()
    for place, layer in enumerate(layers):
        changed = type(layer)()
        changed.CopyFrom(layer)
        result.append(changed)
        for number, source in enumerate(sources[place]):
            if source and readers[source] > 1:
                changed.bottom[number] = f"{_split_name(layers, source)}_{handed[source]}"
                handed[source] += 1
        for number, top in enumerate(layer.top):
            count, name = readers[place, number], _split_name(layers, (place, number))
            if count < 2:
                continue
            split = caffe_messages().LayerParameter(name=name, type="Split", bottom=[top])
            split.top.extend(f"{name}_{each}" for each in range(count))
            weight = layer.loss_weight[number] if number < len(layer.loss_weight) else 0
            if weight:
                split.loss_weight.extend([weight] + [0] * (count - 1))
                del changed.loss_weight[:]
                handed[place, number] += 1
            result.append(split)
    return result


def _split_name(layers: Sequence[Message], top: Top) -> str:
    place, number = top
    return f"{layers[place].top[number]}_{layers[place].name}_{number}_split"


def backward_needs(net: Net) -> tuple[list[bool], list[list[bool]]]:
    """Whether each layer is computed backward, and to which of its bottoms: those below a loss, above what learns.

    With force_backward all are, but to no labels (Net::Init).
    """
    weights = dict(net.loss_weights)
    from_above: set[str] = set()
    layers, bottoms = [], []
    for place, layer in enumerate(net.layers):
        propagates = list(layer.param.propagate_down)
        needed = [name in from_above for name in layer.param.bottom]
        bottoms.append([bool(each) for each in propagates] if propagates else needed)
        layers.append(any(bottoms[-1]) or any(learned_blobs(layer)))
        if layers[-1]:
            from_above.update(net.wires.names[place])
    under_loss: set[str] = set()
    skipped: set[str] = set()
    for place in range(len(layers) - 1, -1, -1):
        names, layer = net.wires.names[place], net.layers[place]
        contributes = any(weights.get(name) or name in under_loss for name in names)
        if not contributes or all(name in skipped for name in names):
            layers[place] = False
            bottoms[place] = [False] * len(bottoms[place])
        for name, needed in zip(layer.param.bottom, bottoms[place]):
            if contributes:
                under_loss.add(name)
            if not needed:
                skipped.add(name)
    if net.force_backward:
        layers = [True] * len(layers)
        bottoms = [
            [needed or not _is_label(layer.param.type, number) for number, needed in enumerate(each)]
            for layer, each in zip(net.layers, bottoms)
        ]
    return layers, bottoms


def learned_blobs(layer: Layer) -> list[bool]:
    """Whether each blob of a layer has a gradient: where its rate is not 0; a BatchNorm's statistics never."""
    specs = [spec.lr_mult != 0 for spec in layer.param.param]
    given = [*specs, *[True] * (layer.blob_count - len(specs))]
    return [False] * layer.blob_count if isinstance(layer, BatchNorm) else given


def _is_label(kind: str, bottom: int) -> bool:
    if kind in ("LSTM", "RNN"):
        return bottom == 1  # which says where sequences begin
    if kind == "ContrastiveLoss":
        return bottom == 2
    return bottom == 1 and kind.endswith(("Loss", "WithLoss")) and kind != "EuclideanLoss"
