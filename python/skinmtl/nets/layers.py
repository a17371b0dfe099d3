"""What the trunks are written with: layers of one bottom, and the sides of their outputs as Caffe computes them."""

from __future__ import annotations

from google.protobuf.message import Message

from caffe_files.errors import InputError


class Layers:
    """Appends layers to a net; each top has its layer's name, or is worked on in place."""

    def __init__(self, net: Message) -> None:
        self.net = net

    def add(self, name: str, kind: str, bottoms: list[str], top: str) -> Message:
        return self.net.layer.add(name=name, type=kind, bottom=bottoms, top=[top])

    def convolution(self, name: str, bottom: str, channels: int, kernel: int, pad: int, stride: int) -> Message:
        layer = self.add(name, "Convolution", [bottom], name)
        settings = layer.convolution_param
        settings.num_output = channels
        settings.kernel_size.append(kernel)
        settings.pad.append(pad)
        settings.stride.append(stride)
        return layer

    def relu(self, name: str, blob: str) -> None:
        self.add(name, "ReLU", [blob], blob)

    def pool(self, name: str, bottom: str, method: str, kernel: int, stride: int) -> Message:
        settings = self.add(name, "Pooling", [bottom], name).pooling_param
        settings.pool = settings.PoolMethod.Value(method)
        settings.kernel_size = kernel
        settings.stride = stride
        return settings


def convolved(side: int, kernel: int, pad: int, stride: int) -> int:
    """The side of a convolution's output."""
    return (side + 2 * pad - kernel) // stride + 1


def pooled(side: int, kernel: int, stride: int) -> int:
    """The side of a pooling's output: Caffe rounds up."""
    return -(-(side - kernel) // stride) + 1


def check_side(side: int, crop: int) -> None:
    """InputError where a crop leaves no place to look at."""
    if side < 1:
        raise InputError(f"a crop of {crop} is too small for the net; give a larger --crop")
