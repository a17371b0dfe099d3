"""Toy nets on toy images, for tests of train.py: all of it is in the fixtures `toy` and `undisturbed`, made once.

A test file has them by `pytest_plugins = ["toy_training"]`.
"""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import ROOT

from skinmtl.common.provenance import sha256
from skinmtl.data.folds import select
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.engine import Engine
from skinmtl.training.inputs import check_inputs
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.solver_file import read_checked_solver
from skinmtl.training.training_run import Request

LESIONS, LOCATIONS = ("crust", "nodule", "scar"), ("back", "face", "hands", "scalp")
# 40 iterations of 2 x 4 images, tested at 10, 20, 30, 40; the rate falls at the second test and whenever it can
SOLVER = """
train_net: "elsewhere" test_net: "elsewhere" test_iter: 7 test_interval: 10 lr_policy: "step" gamma: 0.5 stepsize: 3
base_lr: 0.01 momentum: 0.9 weight_decay: 0.001 iter_size: 2 display: 4 max_iter: 40 snapshot: 6 random_seed: 3
snapshot_prefix: "elsewhere" type: "SGD"
"""
LOSSES = {
    "lesion": (3, 'type: "SigmoidCrossEntropyLoss" loss_param { normalization: BATCH_SIZE }'),
    "location": (4, 'type: "SoftmaxWithLoss"'),
}


class Toy:
    """24 images of 40 x 40, 18 to train on and 6 to watch (below .folder); .net(...) makes a net's folder, .varied is
    one that crops, mirrors and drops at random, .solver is SOLVER."""

    lesions = LESIONS
    falling = PlateauRule(window=1, patience=1, threshold=0.9)

    def __init__(self, folder, new_folder):
        self.folder, self._new_folder = folder, new_folder
        _make_data(folder)
        self.solver = folder / "solver.prototxt"
        self.solver.write_text(SOLVER)
        self.varied = self.net()

    def net(self, heads=("lesion", "location"), batch=4, test_batch=3, data=None, test_data=None, **how):
        at = self._new_folder("net")
        made = toy_net("train", data or self.folder / "train", heads, batch, **how)
        (at / "train.prototxt").write_text(made)
        made = toy_net("test", test_data or self.folder / "test", heads, test_batch, **how)
        (at / "test.prototxt").write_text(made)
        return at

    def request(self, out, **changes):
        """A Request for the library, with what a test wants otherwise."""
        intervals = ("test_interval", "snapshot_interval", "display")
        plain = dict.fromkeys(("workers", "max_iter", "base_lr", "seed", "keep_snapshots", *intervals))
        fields = {
            **plain,
            **{"solver": self.solver, "net": self.varied, "weights": [], "out": out, "resume": False},
            **{"set_aside": False, "change_engine": False, "engine": Engine(), "plateau": None},
            **{"watch": "error", "watch_test_fold": False},
            **{"rate_change": "auto", "resume_data": "exact"},
            **changes,
        }
        return Request(**fields)

    def command(self, out, *more, net=None):
        """The command of a run whose rate falls."""
        words = ["--solver", self.solver, "--net", net or self.varied, "--out", out]
        words += ["--plateau-window", 1, "--plateau-patience", 1, "--plateau-threshold", 0.9, *more]
        return [sys.executable, str(ROOT / "tools" / "train.py"), *map(str, words)]

    def solver_at(self, folder, net):
        """A CaffeSolver as train.py makes one."""
        from skinmtl.training.caffe_solver import CaffeSolver

        folder.mkdir(exist_ok=True)
        inputs = check_inputs(net, False)
        given = read_checked_solver(self.solver)
        return CaffeSolver(given, inputs, folder / "solver.prototxt", folder / "toy", 100, None)

    @staticmethod
    def log_of(run):
        """log.csv without its last column, images a second, which no two runs share."""
        with open(str(run / "log.csv"), newline="") as file:
            return [row[:-1] for row in csv.reader(file)]

    @staticmethod
    def best_of(run):
        """What args.json says of best.caffemodel, which is as it says."""
        said = json.loads((run / "args.json").read_text())["best"]
        assert said["sha256"] == sha256(run / "best.caffemodel")
        return said

    def same_end(self, one, other):
        same_weights = sha256(one / "final.caffemodel") == sha256(other / "final.caffemodel")
        return same_weights and self.log_of(one) == self.log_of(other) and self.best_of(one) == self.best_of(other)

    @staticmethod
    def killed_in_between(words, out, seed, stop=signal.SIGKILL):
        """Starts, waits for some whole snapshot and a moment more, kills; returns the process."""
        chance = random.Random(seed)
        before = len(list((out / "snapshots").glob("*.json"))) if out.exists() else 0
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and len(list((out / "snapshots").glob("*.json"))) <= before:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(stop)
        process.wait()
        return process


def toy_net(split, data, heads, batch, varied=True, online=False, workers=0, extra=""):
    """A convolution, and a fully connected layer a head; `varied` nets crop, mirror and drop at random, `online` ones
    draw a new scale, crop and flip for every visit, in as many worker processes."""
    crop = 32 if varied or online else 40
    if online and split == "train":
        source = _jittered_layer(f"{data}/image_lmdb", batch, workers)
    else:
        mirror = f"mirror: {str(varied).lower()}" if split == "train" else ""
        source = _data_layer("data", f"{data}/image_lmdb", batch, f"transform_param {{ crop_size: {crop} {mirror} }}")
    text = 'name: "toy"\n' + source
    for head in heads:
        text += _data_layer(f"{head}_label", f"{data}/{head}_lmdb", batch)
    text += """
    layer { name: "small" type: "Power" bottom: "data" top: "small" power_param { scale: 0.01 shift: -1.28 } }
    layer { name: "conv" type: "Convolution" bottom: "small" top: "conv"
            convolution_param { num_output: 4 kernel_size: 5 stride: 3 weight_filler { type: "msra" } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    """
    if varied:
        text += 'layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.3 } }'
    text += extra
    for head in heads:
        outputs, loss = LOSSES[head]
        text += f"""
        layer {{ name: "fc_{head}" type: "InnerProduct" bottom: "conv" top: "fc_{head}" inner_product_param {{
                 num_output: {outputs} weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
        layer {{ name: "{head}_loss" bottom: "fc_{head}" bottom: "{head}_label" top: "{head}_loss" {loss} }}
        """
    return text


def _data_layer(top, source, batch, transform=""):
    return (
        f'layer {{ name: "{top}" type: "Data" top: "{top}" {transform} '
        f'data_param {{ source: "{source}" batch_size: {batch} backend: LMDB }} }}\n'
    )


def _jittered_layer(source, batch, workers):
    settings = {"source": source, "batch_size": batch, "crop": 32, "scales": [34, 40], "mean": [0, 0, 0], "seed": 5}
    settings["workers"] = workers
    return (
        'layer { name: "data" type: "Python" top: "data" python_param { module: "skinmtl.layers" '
        f"layer: \"JitteredImageData\" param_str: '{json.dumps(settings, ensure_ascii=False)}' }} }}\n"
    )


def _make_data(folder):
    (folder / "images").mkdir()
    noise = np.random.RandomState(1)
    manifest, folds = ["image,lesions,location"], ["image,fold"]
    for number in range(24):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), noise.randint(0, 256, (40, 40, 3)).astype(np.uint8))
        lesions = [name for bit, name in enumerate(LESIONS) if (number % 7 + 1) >> bit & 1]
        manifest.append(f"{number}.png,{';'.join(lesions)},{LOCATIONS[number % 4]}")
        folds.append(f"{number}.png,{0 if number % 4 == 1 else 1}")
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")
    (folder / "folds.csv").write_text("\n".join(folds) + "\n")
    whole = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        arguments = {"subset": {"test": "validation"}.get(subset, subset)}
        selected = select(whole, folder / "folds.csv", 0, subset)
        write_lmdbs(selected, folder / "images", folder / subset, Sizes(40, 40, 1), 1, 1, arguments)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    return Toy(tmp_path_factory.mktemp("toy ü"), tmp_path_factory.mktemp)


@pytest.fixture(scope="session")
def undisturbed(toy, tool, tmp_path_factory):
    """A run from beginning to end, and how it finished."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    done = tool(*toy.command(out, "--keep-snapshots", "all")[1:])
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=out, done=done)
