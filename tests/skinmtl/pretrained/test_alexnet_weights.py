"""AlexNet from published weights: what they fill, a training that goes on from them, the scores of its snapshot."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from alexnet_published import options, published
from conftest import CAFFE, ROOT

from caffe_files.blobs import store_blob
from caffe_files.prototxt import read_caffemodel
from caffe_files.schema import caffe_messages
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.nets.net_files import net_files, write_net_files


@pytest.fixture(scope="module")
def published_weights(tmp_path_factory):
    """A caffemodel with the published names and shapes, fc8 among them, and small random values."""
    random = np.random.RandomState(1)
    net = caffe_messages().NetParameter(name="AlexNet")
    for name, weights in [
        *((layer.name, layer.weights) for layer in published() if layer.weights),
        ("fc8", [1000, 4096]),
    ]:
        layer = net.layer.add(name=name)
        for each in (weights, weights[:1]):
            store_blob(layer.blobs.add(), random.standard_normal(each) * 0.01)
    path = tmp_path_factory.mktemp("bvlc") / "bvlc_alexnet.caffemodel"
    path.write_bytes(net.SerializeToString())
    return path


@pytest.mark.caffe
def test_published_weights_fill_everything_but_the_head(tool, published_weights):
    net = ROOT / "prototxt/alexnet_lesion/train.prototxt"
    done = tool("check_weights.py", "--net", net, "--weights", published_weights, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "   7 filled\n" in done.stdout
    assert "1 left at their initial values: fc_lesion" in done.stdout
    assert "1 in the caffemodel only: fc8" in done.stdout


@pytest.fixture(scope="module")
def trained(published_weights, tmp_path_factory):
    """Two iterations by `caffe train` with the paper's solver, but batches of 2, from published weights."""
    folder = tmp_path_factory.mktemp("alexnet")
    (folder / "images").mkdir()
    random = np.random.RandomState(2)
    lines = ["image,lesions,location"]
    for number in range(4):
        noise = random.randint(0, 256, (6, 6, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), cv2.resize(noise, (240, 250)))
        lines.append(f"{number}.png,{('crust', 'scar', 'crust;scar')[number % 3]},{('arm', 'leg')[number % 2]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    manifest = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        write_lmdbs(manifest, folder / "images", folder / subset, Sizes(230, 230, 1), seed=1, workers=1, arguments={})
    data = {"train_data": str(folder / "train"), "test_data": str(folder / "test")}
    small = options(lesions=2, locations=2, batch_size=2, test_batch_size=4, **data)
    write_net_files(net_files(small, "a test"), folder)
    solver = (ROOT / "solvers/alexnet_lesion.prototxt").read_text()
    for old, new in (
        ("prototxt/alexnet_lesion/", f"{folder}/"),
        ("snapshots/", f"{folder}/"),
        ("max_iter: 12000", "max_iter: 2"),
        ("test_iter: 80", "test_iter: 1"),
    ):
        assert old in solver
        solver = solver.replace(old, new)
    (folder / "solver.prototxt").write_text(solver)
    command = [CAFFE, "train", "-solver", str(folder / "solver.prototxt"), "-weights", str(published_weights)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return SimpleNamespace(folder=folder, snapshot=folder / "alexnet_lesion_iter_2.caffemodel", log=done.stderr)


@pytest.mark.caffe
def test_caffe_train_goes_on_from_published_weights_and_everything_learns(trained, published_weights):
    before = {layer.name: layer.blobs for layer in read_caffemodel(published_weights).layer}
    after = {layer.name: layer.blobs for layer in read_caffemodel(trained.snapshot).layer if layer.blobs}
    assert set(after) == set(before) - {"fc8"} | {"fc_lesion"}
    for name in set(after) - {"fc_lesion"}:
        for old, new in zip(before[name], after[name]):
            old, new = np.array(old.data[:5000]), np.array(new.data[:5000])
            assert not np.array_equal(old, new), name
            assert np.abs(new - old).max() < 0.1 * np.abs(old).max(), name  # a step, not a new start
    assert "Optimization Done." in trained.log


@pytest.mark.caffe
def test_a_snapshot_is_scored_less_the_nets_own_mean_and_for_lesions_alone(trained, tool, tmp_path):
    data = ("--manifest", trained.folder / "manifest.csv", "--images", trained.folder / "images", "--short-side", 230)
    net = ("--deploy", trained.folder / "deploy.prototxt", "--weights", trained.snapshot)
    done = tool("score.py", *net, *data, "--workers", 1, "--out", tmp_path / "scores.npz", timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(str(tmp_path / "scores.npz")) as scores:
        assert scores["lesion_scores"].shape == (4, 2)
        assert "location_scores" not in scores.files
        protocol = json.loads(str(scores["protocol"]))
    assert (protocol["mean"], protocol["crop"]) == ([104, 117, 123], 227)
