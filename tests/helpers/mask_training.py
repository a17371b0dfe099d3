"""A small mask net on drawn lesions, for tests of train.py: all of it is in the fixture `lesions`, made once.

A test file has it by `pytest_plugins = ["mask_training"]`.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from mask_nets import small
from toy_training import Toy

from skinmtl.data.folds import select
from skinmtl.data.lmdb_write import at_most, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.stored_mask import MaskRules
from skinmtl.nets.known_data import known_of
from skinmtl.nets.net_files import net_files, write_net_files

# 4 x 2 images train, 4 are watched
SOLVER = """
net: "elsewhere" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0001 clip_gradients: 5 max_iter: 6
test_interval: 3 snapshot: 2 display: 1 random_seed: 3
"""


class Lesions(Toy):
    """12 images with a red or a blue ellipse, 8 to train on and 4 to watch (below .folder), and mask nets for them."""

    def __init__(self, folder, new_folder):
        self.folder, self._new_folder = folder, new_folder
        _make_data(folder)
        self.solver = folder / "solver.prototxt"
        self.solver.write_text(SOLVER)
        self.varied = self.net()

    def net(self, train="train", test="test", **changes):
        """A net's folder, as make_prototxt.py makes it: 64 x 64 pixels, two images a batch."""
        data = {"train_data": str(self.folder / train), "test_data": str(self.folder / test)}
        options = small(**{"lesions": 2, "locations": 0, **data, **changes})
        at = self._new_folder("net")
        known = known_of(self.folder / train, self.folder / test)
        write_net_files(net_files(options, "a test", known), at)
        for path in at.glob("*.prototxt"):  # processes that read ahead take longer to start than all else
            path.write_text(path.read_text().replace('"batch_size": 2', '"batch_size": 2, "workers": 0'))
        return at

    def request(self, out, **changes):
        return super().request(out, **{"net": self.varied, "watch": None, "phases": None, **changes})

    def words(self, out, *more, net=None):
        """train.py's command."""
        words = ["--solver", self.solver, "--net", net or self.varied, "--out", out, *more]
        return [sys.executable, str(ROOT / "tools" / "train.py"), *map(str, words)]


def _make_data(folder):
    noise = np.random.RandomState(1)
    rows = ["image,lesions,mask"]
    (folder / "images").mkdir()
    for number in range(12):
        image = noise.randint(150, 200, (96, 128, 3)).astype(np.uint8)
        mask = np.zeros((96, 128), np.uint8)
        centre = (int(noise.randint(40, 88)), int(noise.randint(36, 60)))
        axes = (int(noise.randint(14, 36)), int(noise.randint(14, 32)))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
        image[mask > 0] = (50, 60, 160) if number % 2 else (150, 60, 50)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        cv2.imwrite(str(folder / "images" / f"{number}_mask.png"), mask)
        rows.append(f"{number}.png,{('benign', 'malignant')[number % 2]},{number}_mask.png")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    folds = [f"{number}.png,{0 if number % 12 in (2, 5, 8, 11) else 1}" for number in range(12)]
    (folder / "folds.csv").write_text("\n".join(["image,fold", *folds]) + "\n")
    whole = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        arguments = {"subset": {"test": "validation"}.get(subset, subset)}
        selected = select(whole, folder / "folds.csv", 0, subset)
        masks = MaskRules(folder / "images")
        write_lmdbs(selected, folder / "images", folder / subset, at_most(1024), 1, 1, arguments, masks)


@pytest.fixture(scope="session")
def lesions(tmp_path_factory):
    return Lesions(tmp_path_factory.mktemp("lesions ü"), tmp_path_factory.mktemp)
