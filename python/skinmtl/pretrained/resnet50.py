"""ResNet-50 as torchvision and timm name and store it, and as the published Caffe net does.

A convolution with its normalisation is a unit: in PyTorch `layer1.0.conv1` and `layer1.0.bn1`, in Caffe
`res2a_branch2a`, `bn2a_branch2a` and `scale2a_branch2a`.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.nets.trunks import TRUNKS

CLASSIFIER, CLASSES = "fc1000", 1000
EPS = 1e-5  # of PyTorch's and of Caffe's normalisation alike
NORMAL = ("weight", "bias", "running_mean", "running_var")
# present in every ResNet of torchvision's form: what stands before it is the prefix of all (module., backbone.)
ANCHOR = "layer1.0.conv1.weight"
SHOWN = 3  # names in a message


class Unit(NamedTuple):
    """A convolution with its normalisation: names in Caffe, names in PyTorch, shape of the weights (out, in, h, w)."""

    convolution: str
    suffix: str
    torch_convolution: str
    torch_normal: str
    shape: tuple[int, int, int, int]


class Layer(NamedTuple):
    """A layer of a caffemodel: its type and its blobs, float32."""

    kind: str
    blobs: list[np.ndarray]


def units() -> Iterator[Unit]:
    """All 53, from the input on."""
    trunk = TRUNKS["resnet50"]
    yield Unit("conv1", "_conv1", "conv1", "bn1", (trunk.stem, 3, 7, 7))
    channels = trunk.stem
    for stage, (width, blocks) in enumerate(zip(trunk.widths, trunk.blocks), 2):
        for block in range(blocks):
            name, place = f"{stage}{chr(ord('a') + block)}", f"layer{stage - 1}.{block}"
            if block == 0:
                branch, shape = f"{name}_branch1", (4 * width, channels, 1, 1)
                yield Unit(f"res{branch}", branch, f"{place}.downsample.0", f"{place}.downsample.1", shape)
            shapes = ((width, channels, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for number, (step, shape) in enumerate(zip("abc", shapes), 1):
                branch = f"{name}_branch2{step}"
                yield Unit(f"res{branch}", branch, f"{place}.conv{number}", f"{place}.bn{number}", shape)
            channels = 4 * width


def caffe_shapes() -> dict[str, list[list[int]]]:
    """The shapes of the blobs of the trunk's 159 parameter layers, by name."""
    shapes: dict[str, list[list[int]]] = {}
    for unit in units():
        bias = [[unit.shape[0]]] if unit.convolution == "conv1" else []
        shapes[unit.convolution] = [list(unit.shape), *bias]
        shapes[f"bn{unit.suffix}"] = [[unit.shape[0]], [unit.shape[0]], [1]]
        shapes[f"scale{unit.suffix}"] = [[unit.shape[0]], [unit.shape[0]]]
    return shapes


def trunk_tensors(tensors: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The ResNet-50 in a state dict by its own names, and the names of what is no part of it.

    A prefix of all its names is taken off; `fc` belongs to it where it has 1000 classes. InputError says which names
    are missing or unknown and which shapes differ where it is another network.
    """
    prefix = _prefix(tensors)
    own = {name[len(prefix) :]: values for name, values in tensors.items() if name.startswith(prefix)}
    expected = _torch_shapes()
    missing = [name for name in expected if name not in own]
    unknown = [name for name in own if name not in expected and not _beside(name)]
    differing = [
        f"{name} is {_times(own[name].shape)}, not {_times(shape)}"
        for name, shape in expected.items()
        if name in own and own[name].shape != shape
    ]
    faults = [_listed("missing", missing), _listed("unknown", unknown), _listed("of other shapes", differing)]
    if any(faults):
        raise InputError(
            f"not a ResNet-50 of torchvision or timm: {'; '.join(filter(None, faults))}; give another checkpoint"
        )
    taken = {name: own[name] for name in expected}
    if [own[name].shape if name in own else None for name in ("fc.weight", "fc.bias")] == [(CLASSES, 2048), (CLASSES,)]:
        taken.update((name, own[name]) for name in ("fc.weight", "fc.bias"))
    for name, values in taken.items():
        if values.dtype.kind != "f":
            raise InputError(f"{prefix}{name} has {values.dtype} values, not fractions; give another checkpoint")
        if not np.isfinite(values).all():
            raise InputError(f"{prefix}{name} has NaN or infinite values; give another checkpoint")
        if name.endswith("running_var") and (values < 0).any():
            raise InputError(f"{prefix}{name} has negative variances; give another checkpoint")
    counted = {f"{prefix}{name}" for name in own if name in taken or name.endswith("num_batches_tracked")}
    return taken, [name for name in tensors if name not in counted]


def caffe_layers(tensors: dict[str, np.ndarray], std: Sequence[float], eps: float = EPS) -> dict[str, Layer]:
    """The caffemodel's layers by name, for pixels B, G, R of 0 to 255 less the mean.

    tensors as of `trunk_tensors`, for pixels R, G, B of 0 to 1, less the mean and divided by `std` (R, G, B). conv1
    takes the other order of channels, and what their deviations differ by. What all three have in common, about 58,
    goes into the statistics of the normalisation after it: so conv1's weights and gradients keep the size that they
    had in PyTorch. Were they divided by 58, a step of training would change them 3,000 times as much. The bias, which
    PyTorch's conv1 has not, is 0. `eps` is what the model's normalisation adds to its variances.
    """
    common = float(np.exp(np.mean(np.log(std))))
    layers: dict[str, Layer] = {}
    for unit in units():
        weights = tensors[f"{unit.torch_convolution}.weight"]
        gamma, beta, mean, variance = (tensors[f"{unit.torch_normal}.{name}"].astype(np.float64) for name in NORMAL)
        variance = variance + (eps - EPS)  # Caffe adds EPS
        blobs = [weights]
        if unit.convolution == "conv1":
            ratio = common / np.array(std, np.float64)
            blobs = [(weights * ratio[:, None, None])[:, ::-1], np.zeros(len(weights))]
            scale = 255 * common
            mean, variance = mean * scale, (variance + EPS) * scale**2 - EPS
        layers[unit.convolution] = Layer("Convolution", _float32(*blobs))
        layers[f"bn{unit.suffix}"] = Layer("BatchNorm", _float32(mean, variance, np.ones(1)))
        layers[f"scale{unit.suffix}"] = Layer("Scale", _float32(gamma, beta))
    if "fc.weight" in tensors:
        layers[CLASSIFIER] = Layer("InnerProduct", _float32(tensors["fc.weight"], tensors["fc.bias"]))
    return layers


def _float32(*arrays: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(array, np.float32) for array in arrays]


def _torch_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for unit in units():
        shapes[f"{unit.torch_convolution}.weight"] = unit.shape
        shapes.update((f"{unit.torch_normal}.{name}", unit.shape[:1]) for name in NORMAL)
    return shapes


def _prefix(tensors: dict[str, np.ndarray]) -> str:
    found = sorted({name[: -len(ANCHOR)] for name in tensors if f".{name}".endswith(f".{ANCHOR}")})
    if len(found) > 1:
        raise InputError(f"holds {len(found)} networks, {', '.join(map(repr, found))}; save one of them alone")
    return found[0] if found else ""


def _beside(name: str) -> bool:
    """Whether a name may be there: a classifier of any form, and how often a normalisation saw a batch."""
    return name.startswith("fc.") or name.endswith(".num_batches_tracked")


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"
