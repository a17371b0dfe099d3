"""Layers of Song et al. (2020) in a net of one layer, on stock Caffe and on caffe_torch, and inputs for them."""

from __future__ import annotations

import json

import numpy as np

SIDE = 128
LEVELS = {"scales": [16, 32, 64, 96], "strides": [8, 16, 32, 64]}
ANCHORS = 3 * sum((SIDE // stride) ** 2 for stride in LEVELS["strides"])


def python(name, tops, **settings):
    """The layer but for its name and bottoms, as torch_agreement has it."""
    named = " ".join(f"top: '{top}'" for top in tops)
    told = json.dumps(settings)
    return f"type: 'Python' {named} python_param {{ module: 'skinmtl.layers' layer: '{name}' param_str: '{told}' }}"


def lesions(seed, images=3, classes=2, missing=()):
    """Boxes (N, 4) and class labels (N); images in `missing` have no lesion."""
    random = np.random.RandomState(seed)
    low = random.uniform(0, SIDE / 2, (images, 2))
    boxes = np.concatenate([low, low + random.uniform(12, SIDE / 2, (images, 2))], 1).round().astype(np.float32)
    labels = random.randint(1, classes + 1, images).astype(np.float32)
    for number in missing:
        boxes[number], labels[number] = 0, 0
    return boxes, labels


def draws(seed, images=3):
    """(N, 2) whole numbers below 2^24."""
    return np.random.RandomState(seed).randint(0, 2**24, (images, 2)).astype(np.float32)


def windows(images=3):
    """(N, 4): the whole input, and what a landscape and a portrait have of it, in turn."""
    some = [(0, 0, SIDE, SIDE), (0, 20, SIDE, SIDE - 21), (13, 0, SIDE - 12, SIDE)]
    return np.array([some[number % 3] for number in range(images)], np.float32)


def masks(boxes):
    """(N, 1, SIDE, SIDE): an ellipse in each box."""
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    made = np.zeros((len(boxes), 1, SIDE, SIDE), np.float32)
    for mask, (x1, y1, x2, y2) in zip(made, boxes):
        across, down = (column - (x1 + x2) / 2) / max(x2 - x1, 1), (row - (y1 + y2) / 2) / max(y2 - y1, 1)
        mask[0] = across**2 + down**2 < 0.25
    return made


def proposals(seed, boxes, count=60, near=12, empty=()):
    """(N, P, 5): some near the lesion, some anywhere, rows of zeros behind; images in `empty` have none."""
    random = np.random.RandomState(seed)
    made = np.zeros((len(boxes), count, 5), np.float32)
    for number, box in enumerate(boxes):
        if number in empty:
            continue
        low = random.uniform(0, SIDE - 20, (count - 10, 2))
        rows = np.concatenate([low, low + random.uniform(4, 60, (count - 10, 2))], 1)
        if box.any():
            rows[:near] = box + random.normal(0, 4, (near, 4))
        made[number, : len(rows), :4] = rows.clip(0, SIDE)
        made[number, : len(rows), 4] = np.sort(random.uniform(0.1, 1, len(rows)))[::-1]
    return made
