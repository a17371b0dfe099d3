"""What the tests share: the library from a clone, the tools as a user runs them, and what a test needs to run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from skinmtl.folds import select
from skinmtl.lmdb_write import Sizes, write_lmdbs
from skinmtl.manifest import read_manifest
from skinmtl.net_files import net_files, write_net_files
from skinmtl.nets import NetOptions

ROOT = Path(__file__).resolve().parents[1]
CAFFE = str(Path(sys.executable).with_name("caffe"))  # beside the Python that has pycaffe


def pytest_collection_modifyitems(items):
    """A test whose part is missing here is skipped with the reason, never failed and never silently left out."""
    if importlib.util.find_spec("caffe") is None:
        no_caffe = pytest.mark.skip(reason="BVLC Caffe is not importable here: make caffe, then .caffe/bin/pytest")
        for item in items:
            if item.get_closest_marker("caffe"):
                item.add_marker(no_caffe)


@pytest.fixture(scope="session")
def tool():
    """Runs tools/NAME as a user would, from another folder; returns the CompletedProcess with text output."""

    def run(name, *arguments, cwd=None, timeout=120, env=None):
        command = [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=str(cwd or ROOT),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=dict(os.environ, **(env or {})),
        )

    return run


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """24 noisy images with 3 lesions and 4 locations, the first 8 in test fold 0, and LMDBs of both subsets."""
    folder = tmp_path_factory.mktemp("small set")
    (folder / "images").mkdir()
    random = np.random.RandomState(1)
    manifest, folds = ["image,lesions,location"], ["image,fold"]
    for number in range(24):
        noise = random.randint(0, 256, (5, 5, 3)).astype(np.uint8)
        size = (int(random.randint(70, 130)), int(random.randint(70, 130)))
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))
        lesions = [name for bit, name in enumerate(("crust", "nodule", "scar")) if (number % 7 + 1) >> bit & 1]
        manifest.append(f"{number}.jpg,{';'.join(lesions)},{('back', 'face', 'hands', 'scalp')[number % 4]}")
        folds.append(f"{number}.jpg,{0 if number < 8 else 1}")
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")
    (folder / "folds.csv").write_text("\n".join(folds) + "\n")
    whole = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        selected = select(whole, folder / "folds.csv", 0, subset)
        write_lmdbs(selected, folder / "images", folder / subset, Sizes(72, 72, 1), seed=1, workers=1, arguments={})
    return SimpleNamespace(
        manifest=folder / "manifest.csv",
        folds=folder / "folds.csv",
        images=folder / "images",
        train=folder / "train",
        test=folder / "test",
    )


@pytest.fixture(scope="session")
def tiny_model(small_set, tmp_path_factory):
    """The tiny multi-task net on the small set, with a snapshot of five iterations by `caffe train` itself."""
    folder = tmp_path_factory.mktemp("tiny_mtl")
    options = NetOptions("tiny", 64, 3, 4, str(small_set.train), str(small_set.test), 8, 8, frozen_batch_norm=False)
    write_net_files(net_files(options, "a test"), folder)
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/train.prototxt"\n'
        'base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0001 random_seed: 1\n'
        f'max_iter: 5 snapshot_prefix: "{folder}/tiny"\n'
    )
    train = [CAFFE, "train", "-solver", str(folder / "solver.prototxt")]
    subprocess.run(train, check=True, stderr=subprocess.PIPE)
    return SimpleNamespace(
        folder=folder, deploy=folder / "deploy.prototxt", snapshot=folder / "tiny_iter_5.caffemodel", data=small_set
    )
