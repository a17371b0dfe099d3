"""How far caffe_torch on a device is from caffe_torch on the CPU, and from BVLC Caffe on the CPU where it is there:
of one forward pass of the deploy net, and of some iterations of training on images without random crops."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from caffe_files.prototxt import message_text, read_caffemodel
from caffe_files.schema import caffe_messages
from caffe_torch.model_files import write_caffemodel
from caffe_torch.net import Net
from caffe_torch.solver import Solver
from skinmtl.nets.multi_task import NetOptions, make_net

CAFFE = Path(__file__).resolve().parents[1] / ".caffe/bin"
FORWARD = """import sys, numpy, caffe
caffe.set_mode_cpu()
net = caffe.Net(sys.argv[1], sys.argv[2], caffe.TEST)
net.blobs['data'].data[...] = numpy.load(sys.argv[3])
net.forward()
numpy.savez(sys.argv[4], **{name: blob.data for name, blob in net.blobs.items()})"""
ENVIRONMENT = {**os.environ, "GLOG_minloglevel": "2", "PYTHONPATH": ""}


def measured_weights(options: NetOptions, path: Path) -> None:
    """A caffemodel of random weights, with the statistics that BatchNorm measures on some batches of the data."""
    torch.manual_seed(1)
    net = Net(make_net(replace(options, frozen_batch_norm=False), "train"), "TRAIN")
    with torch.no_grad():
        for _ in range(4):
            net()
    write_caffemodel(net, path)


def forward_parity(options: NetOptions, weights: Path, folder: Path, device: str) -> dict[str, float]:
    """By whom it is held against: the largest difference of any blob, relative to the largest number in the blob."""
    described = make_net(options, "deploy")
    random = np.random.RandomState(2)
    net = Net(described, "TEST")
    data = (random.standard_normal(net.shapes["data"]) * 50).astype(np.float32)
    found = {}
    for place in ("cpu", device):
        net = Net(described, "TEST")
        Solver(_solver(1), net, "cpu").copy_from(weights)
        net.to(place)
        with torch.no_grad():
            found[place] = {name: blob.cpu().numpy() for name, blob in net({"data": torch.from_numpy(data)}).items()}
    parity = {"this engine on the CPU": _largest_difference(found[device], found["cpu"])}
    if CAFFE.is_dir():
        (folder / "deploy.prototxt").write_text(message_text(described))
        np.save(folder / "data.npy", data)
        files = [str(folder / name) for name in ("deploy.prototxt", weights.name, "data.npy", "blobs.npz")]
        subprocess.run([str(CAFFE / "python3"), "-c", FORWARD, *files], check=True, env=ENVIRONMENT)
        with np.load(folder / "blobs.npz") as archive:
            parity["BVLC Caffe on the CPU"] = _largest_difference(found[device], dict(archive.items()))
    return parity


def training_parity(options: NetOptions, weights: Path, folder: Path, device: str, count: int) -> dict[str, float]:
    """By whom it is held against: the largest difference of any weight after `count` iterations, relative to the
    largest number in its blob."""
    described = make_net(options, "train")
    for layer in described.layer:
        if layer.name == "data":
            layer.transform_param.mirror = False
            layer.transform_param.ClearField("crop_size")
    found = {}
    for number, place in enumerate(("cpu", device)):
        solver = Solver(_solver(count), Net(described, "TRAIN"), place)
        solver.copy_from(weights)
        for _ in range(count):
            solver.step()
        found[place] = _weights_of(solver.snapshot(str(folder / f"{number}"))[0])
    parity = {"this engine on the CPU": _largest_difference(found[device], found["cpu"])}
    if CAFFE.is_dir():
        (folder / "train.prototxt").write_text(message_text(described))
        settings = _solver(count)
        settings.train_net, settings.snapshot_prefix = str(folder / "train.prototxt"), str(folder / "caffe")
        (folder / "solver.prototxt").write_text(message_text(settings))
        command = [str(CAFFE / "caffe"), "train", "-solver", str(folder / "solver.prototxt"), "-weights", str(weights)]
        subprocess.run(command, check=True, env=ENVIRONMENT)
        theirs = _weights_of(folder / f"caffe_iter_{count}.caffemodel")
        parity["BVLC Caffe on the CPU"] = _largest_difference(found[device], theirs)
    return parity


def _solver(iterations: int) -> object:
    return caffe_messages().SolverParameter(
        base_lr=0.001, lr_policy="fixed", momentum=0.9, weight_decay=1e-4, random_seed=1, max_iter=iterations
    )


def _weights_of(path: Path) -> dict[str, np.ndarray]:
    return {
        f"{layer.name} {number}": np.array(blob.data, np.float32)
        for layer in read_caffemodel(path).layer
        for number, blob in enumerate(layer.blobs)
    }


def _largest_difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    return max(
        float(np.abs(found[name].ravel() - values.ravel()).max() / max(np.abs(values).max(), 1e-30))
        for name, values in expected.items()
        if name in found
    )
