"""A small net and its model folder, made once. A test file has them by `pytest_plugins = ["made_model_fixtures"]`."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_model import NAMES, request, write_small_net

from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import read_model_folder


@pytest.fixture(scope="session")
def small_net(tmp_path_factory):
    """The small net of both heads."""
    return write_small_net(tmp_path_factory.mktemp("small net"))


@pytest.fixture(scope="session")
def model(small_net, tmp_path_factory):
    """Its model folder, read; not to be changed."""
    folder = tmp_path_factory.mktemp("models") / "small"
    export(request(small_net, licence="CC0"), folder, {})
    return read_model_folder(folder)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Three images of noise, .names, below .images, and their .manifest; not to be changed."""
    folder = tmp_path_factory.mktemp("photographs")
    names = ["arm.jpg", "at home/leg.png", "back.jpg"]
    random = np.random.RandomState(1)
    for name, size in zip(names, ((60, 48), (50, 70), (45, 45))):
        noise = random.randint(0, 256, (6, 6, 3)).astype(np.uint8)
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / name), cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))
    rows = [f"{name},naevus,arm\n" for name in names]
    (folder / "manifest.csv").write_text("".join(["image,lesions,location\n", *rows]))
    for head, of_head in NAMES.items():
        (folder / f"{head}s.txt").write_text("".join(f"{name}\n" for name in of_head))
    return SimpleNamespace(images=folder / "images", manifest=folder / "manifest.csv", names=names)
