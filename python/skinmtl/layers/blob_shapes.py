"""What shapes a layer's bottoms must have, and what to say where one has another."""

from __future__ import annotations

from typing import Sequence, Union

from caffe_files.errors import InputError

Axis = Union[int, str]  # so many, or a letter: the same number wherever the letter stands


def check_shapes(
    layer: str, names: Sequence[str], shapes: Sequence[tuple[int, ...]], wanted: Sequence[Sequence[Axis]]
) -> dict[str, int]:
    """What each letter stands for. InputError names the layer, and the bottom of the first shape that does not fit.

    >>> check_shapes("A layer", ["box", "draw"], [(2, 4), (2, 2)], [("N", 4), ("N", 2)])
    {'N': 2}
    """
    found: dict[str, int] = {}
    for index, (name, shape, axes) in enumerate(zip(names, shapes, wanted)):
        fits = len(shape) == len(axes)
        for size, axis in zip(shape, axes):
            fits = fits and size == (axis if isinstance(axis, int) else found.setdefault(axis, size))
        if not fits:
            must = ", ".join(str(found.get(axis, axis) if name != names[0] else axis) for axis in axes)
            raise InputError(
                f"{layer}: its bottom {index}, {name}, has the shape ({_joined(shape)}); it must be ({must}); "
                "correct the net"
            )
    return found


def check_count(layer: str, what: str, count: int, names: Sequence[str], optional: Sequence[str] = ()) -> None:
    """InputError unless a layer has as many bottoms, or tops, as names; the optional ones may follow."""
    if len(names) <= count <= len(names) + len(optional):
        return
    more = f", then {', '.join(optional)} where wanted" if optional else ""
    wanted = ", ".join(names) + more
    raise InputError(f"{layer}: the number of its {what}s is {count}; they are {wanted}; correct the net")


def of_labels(shapes: Sequence[Sequence[int]], weights: Sequence[float]) -> Sequence[Sequence[Axis]]:
    """What `check_shapes` asks of scores (N, P) and their labels, with or without axes of 1 behind; P weights, if any.

    >>> of_labels([(20, 3), (20, 3, 1, 1)], [1.0, 2.5, 4.0])
    (('N', 3), ('N', 3, 1, 1))
    """
    labels = len(weights) or "P"
    return ("N", labels), ("N", labels, *[1] * (len(shapes[1]) - 2))


def of_one_label(shapes: Sequence[Sequence[int]], weights: Sequence[float]) -> Sequence[Sequence[Axis]]:
    """The same, where a label may be one number an image, (N, 1).

    >>> of_one_label([(20, 3), (20, 1, 1, 1)], [1.0, 2.5, 4.0])
    (('N', 3), ('N', 1, 1, 1))
    """
    scores, labels = of_labels(shapes, weights)
    is_number = len(shapes[1]) > 1 and shapes[1][1] == 1
    return scores, (labels[0], 1, *labels[2:]) if is_number else labels


def _joined(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
