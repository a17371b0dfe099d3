"""ResNet-50 in PyTorch, written here from the paper's table 1 with the names of torchvision's state dict."""

from __future__ import annotations

import torch
from torch import nn


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; the stride on the first or on the second, and on the shortcut."""

    def __init__(self, channels, width, stride, stride_on):
        super().__init__()
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride != 1 or channels != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x):
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.bn3(self.conv3(out)) + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    def __init__(self, stride_on="3x3"):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3)), 1):
            made = []
            for block in range(blocks):
                made.append(Bottleneck(channels, width, 2 if stage > 1 and block == 0 else 1, stride_on))
                channels = 4 * width
            self.add_module(f"layer{stage}", nn.Sequential(*made))
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x):
        """The average of the last maps, and the logits."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        pooled = self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))
        return pooled, self.fc(pooled)


def random_resnet50(stride_on, seed=1):
    """With statistics and scales of every size, so that no part of a conversion may be left out."""
    torch.manual_seed(seed)
    model = ResNet50(stride_on).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.3, 1)
            nn.init.normal_(layer.bias, 0, 0.2)
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.2, 2)
    return model
