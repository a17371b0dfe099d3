"""How the layers of a net hang together: which values they read and write, by Caffe's rules (BVLC: net.cpp,
insert_splits.cpp).

What a blob holds from one writing to the next is a value, and has a number. A layer in place reads one value and writes
another under the same name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Callable, Sequence

from google.protobuf.message import Message

from caffe_torch.errors import NetError


@dataclass
class Wires:
    """`bottoms` and `tops`: the values that each layer reads and writes, and `names` of its tops, by its place in the
    net. `values`: those that blobs hold in the end, by name. `outputs`: names of what no layer reads, in Caffe's order.

    A blob with a loss weight of its own that is read too is split by Caffe, and a part that nothing reads is the loss:
    `splits` has the names of such parts by the value, and the value stands under this name as well.
    """

    bottoms: list[list[int]] = field(default_factory=list)
    tops: list[list[int]] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    splits: dict[int, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def wired(layers: Sequence[Message], automatic: Callable[[Message], int]) -> Wires:
    """The wires of layers in their order; `automatic` says how many tops a layer makes beside those that it names.

    NetError where a bottom is no layer's top, or where two layers would write one blob.
    """
    wires, unnamed, number = Wires(), 0, 0
    for layer in layers:
        for bottom in layer.bottom:
            if bottom not in wires.values:
                raise NetError(f"layer {layer.name!r}: no layer before it has the top {bottom!r}")
        wires.bottoms.append([wires.values[bottom] for bottom in layer.bottom])
        wires.tops.append([])
        wires.names.append(list(layer.top))
        for _ in range(automatic(layer)):
            unnamed += 1
            wires.names[-1].append("(automatic)" if unnamed == 1 else f"(automatic) {unnamed}")
        for place, name in enumerate(wires.names[-1]):
            if name in wires.values and not is_in_place(layer, place):
                raise NetError(f"layer {layer.name!r}: another layer has the top {name!r} too")
            wires.values[name] = number
            wires.tops[-1].append(number)
            number += 1
    _look_at_readers(layers, wires)
    return wires


def _look_at_readers(layers: Sequence[Message], wires: Wires) -> None:
    readers = Counter(number for numbers in wires.bottoms for number in numbers)
    weighed = {
        number: f"{name}_{layer.name}_{place}_split_0"
        for layer, tops in zip(layers, wires.tops)
        for place, (name, number, weight) in enumerate(zip(layer.top, tops, layer.loss_weight))
        if weight
    }
    for layer, bottoms in zip(layers, wires.bottoms):
        for place, number in enumerate(bottoms):
            if is_in_place(layer, place) and readers[number] + (number in weighed) > 1:
                raise NetError(
                    f"layer {layer.name!r}: works in place on {layer.top[place]!r}, which another layer, or the loss, "
                    "reads too; give its top another name"
                )
    automatic = {name for names, layer in zip(wires.names, layers) for name in names[len(layer.top) :]}
    unread = [name for name, number in wires.values.items() if not readers[number] and name not in automatic]
    wires.splits = {number: name for number, name in weighed.items() if readers[number]}
    wires.values.update((name, number) for number, name in wires.splits.items())
    wires.outputs = sorted([*unread, *wires.splits.values()])  # Net::Init keeps them in a std::set


def is_in_place(layer: Message, place: int) -> bool:
    """Whether a layer writes its top of a place over its bottom of that place."""
    return place < len(layer.bottom) and place < len(layer.top) and layer.bottom[place] == layer.top[place]
