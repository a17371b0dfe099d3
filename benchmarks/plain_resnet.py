"""The multi-task ResNet-50 and its training step as one writes them by hand in PyTorch, for this net alone: what the
speed of caffe_torch is held against. Statistics of BatchNorm are frozen, strides on the first 1 x 1 as published."""

from __future__ import annotations

from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1, and the shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = None
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu(y, inplace=True)


class PlainResNet(nn.Module):
    """The trunk and two heads; `widths` and `blocks` other than ResNet-50's for a trial."""

    def __init__(
        self, lesions: int, locations: int, blocks: tuple[int, ...] = BLOCKS, widths: tuple[int, ...] = WIDTHS
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 7, 2, 3), nn.BatchNorm2d(widths[0])
        layers, inputs = [], widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths)):
            for number in range(count):
                layers.append(Bottleneck(inputs, width, 2 if stage and not number else 1))
                inputs = 4 * width
        self.trunk = nn.Sequential(*layers)
        self.lesion, self.location = nn.Linear(inputs, lesions), nn.Linear(inputs, locations)

    def train(self, mode: bool = True) -> PlainResNet:
        """Statistics stay frozen."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, ceil_mode=True)
        x = self.trunk(x).mean(dim=(2, 3))
        return self.lesion(x), self.location(x)


def plain_step(
    net: PlainResNet, images: Tensor, lesions: Tensor, locations: Tensor, rate: float, precision: str
) -> Callable[[], Tensor]:
    """A training step on one batch (images channels last; lesions (N, P) 0 or 1; locations (N) int64)."""
    net.train().to(images.device, memory_format=torch.channels_last)
    heads = (net.lesion, net.location)
    ours = {id(parameter) for head in heads for parameter in head.parameters()}
    groups = [
        {"params": [parameter for parameter in net.parameters() if id(parameter) not in ours]},
        {"params": [head.weight for head in heads], "lr": 10 * rate},
        {"params": [head.bias for head in heads], "lr": 20 * rate},
    ]
    optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=1e-4)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
            lesion, location = net(images)
        loss = F.binary_cross_entropy_with_logits(lesion.float(), lesions, reduction="sum") / len(images)
        loss = loss + F.cross_entropy(location.float(), locations)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step
