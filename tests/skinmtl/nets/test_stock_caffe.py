"""What the tools write is read by stock Caffe as it is: programs and prototxts that know nothing of this project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from conftest import CAFFE, ROOT

from caffe_files.schema import caffe_messages
from skinmtl.data.manifest import read_manifest

pytestmark = pytest.mark.caffe


def caffe(*arguments, cwd):
    """Runs the caffe program; its log, which it writes to stderr."""
    done = subprocess.run([CAFFE, *map(str, arguments)], cwd=str(cwd), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_caffe_test_reads_the_three_lmdbs_by_a_prototxt_written_by_hand(small_set, tmp_path):
    """Constant zero weights make every probability known: log 2 a lesion, log 4 a location."""
    weights = caffe_messages().NetParameter(name="by_hand")
    for name, outputs in (("which", 3), ("where", 4)):
        layer = weights.layer.add(name=name, type="InnerProduct")
        layer.blobs.add(data=[0] * outputs * 48).shape.dim.extend([outputs, 48])
        layer.blobs.add(data=[0] * outputs).shape.dim.append(outputs)
    (tmp_path / "zero.caffemodel").write_bytes(weights.SerializeToString())
    model = ROOT / "tests/data/stock_test.prototxt"
    command = ["test", "-model", model, "-weights", tmp_path / "zero.caffemodel", "-iterations", 2]
    log = caffe(*command, cwd=small_set.test.parent)
    totals = dict(re.findall(r"caffe\.cpp:\d+\] (\w+) = ([\d.]+)", log))
    assert float(totals["which_loss"]) == pytest.approx(3 * np.log(2), rel=1e-4)
    assert float(totals["where_loss"]) == pytest.approx(np.log(4), rel=1e-4)


def test_pycaffe_reads_records_in_step_and_labels_as_the_manifest_has_them(small_set, tmp_path):
    import caffe

    text = (ROOT / "tests/data/stock_test.prototxt").read_text().replace("test/", f"{small_set.test}/")
    (tmp_path / "net.prototxt").write_text(text)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    manifest = read_manifest(small_set.manifest)
    lesions, locations = manifest.lesion_labels(), manifest.location_labels()
    numbers = {row.image: n for n, row in enumerate(manifest.rows)}
    listed = [line.split(",")[1] for line in (small_set.test / "records.csv").read_text().splitlines()[1:]]
    for start in (0, 4):
        net.forward()
        rows = [numbers[image] for image in listed[start : start + 4]]
        assert np.array_equal(net.blobs["lesions"].data.reshape(4, 3), lesions[rows])
        assert np.array_equal(net.blobs["site"].data.reshape(4), locations[rows])


@pytest.mark.slow
def test_the_papers_solver_works_as_typed_on_published_layer_names(tool, tmp_path):
    """`caffe train -solver solvers/resnet50_mtl.prototxt -weights W`: two iterations of batch 20, then a score."""
    write_image_set(tmp_path)
    manifest = ["--manifest", "manifest.csv", "--images", "images"]
    for subset in ("train", "test"):
        done = tool("make_lmdb.py", *manifest, "--out", f"data/{subset}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    net = "prototxt/resnet50_mtl"
    data = ["--train-data", "data/train", "--test-data", "data/test"]
    made = tool("make_prototxt.py", "--model", "resnet50_mtl", *data, "--out", net, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "solvers").mkdir()
    solver = (ROOT / "solvers/resnet50_mtl.prototxt").read_text()
    assert "max_iter: 120000" in solver
    (tmp_path / "solvers/resnet50_mtl.prototxt").write_text(solver.replace("max_iter: 120000", "max_iter: 2"))
    write_published(tmp_path / "W.caffemodel")
    checked = tool("check_weights.py", "--net", f"{net}/train.prototxt", "--weights", "W.caffemodel", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "159 filled" in checked.stdout
    assert "2 left at their initial values: fc_lesion, fc_location" in checked.stdout
    log = caffe("train", "-solver", "solvers/resnet50_mtl.prototxt", "-weights", "W.caffemodel", cwd=tmp_path)
    assert "Snapshotting to binary proto file snapshots/resnet50_mtl_iter_2.caffemodel" in log
    snapshot = "snapshots/resnet50_mtl_iter_2.caffemodel"
    few = (tmp_path / "manifest.csv").read_text().splitlines()[:3]
    (tmp_path / "few").mkdir()
    (tmp_path / "few/manifest.csv").write_text("\n".join(few) + "\n")
    for names in ("lesions.txt", "locations.txt"):
        shutil.copy(str(tmp_path / names), str(tmp_path / "few"))
    score = ["--deploy", f"{net}/deploy.prototxt", "--weights", snapshot, "--manifest", "few/manifest.csv"]
    scored = tool("score.py", *score, "--images", "images", "--out", "few.npz", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert tool("evaluate.py", "few.npz", cwd=tmp_path).returncode == 0


def write_image_set(folder):
    """20 images with 25 lesions and 23 locations, as many as the committed prototxts have."""
    random = np.random.RandomState(1)
    (folder / "images").mkdir()
    lesions = [f"lesion {number}" for number in range(25)]
    locations = [f"site {number}" for number in range(23)]
    (folder / "lesions.txt").write_text("\n".join(lesions) + "\n")
    (folder / "locations.txt").write_text("\n".join(locations) + "\n")
    lines = ["image,lesions,location"]
    for number in range(20):
        noise = random.randint(0, 256, (6, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), cv2.resize(noise, (340, 256)))
        lines.append(f"{number}.jpg,{lesions[number]};{lesions[number + 5]},{locations[number]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def write_published(path):
    """A caffemodel with the published layers' names and shapes, its last layer fc1000, and random values.

    Frozen statistics keep nothing in bounds, so the values must: the first BatchNorm divides by the deviation of
    conv1's outputs on pixels, and each block adds little to its shortcut.
    """
    random = np.random.RandomState(1)
    net = caffe_messages().NetParameter(name="ResNet-50")
    for published in json.loads((ROOT / "tests/data/resnet50_layers.json").read_text()):
        name, kind = published["name"], published["type"]
        layer = net.layer.add(name=name, type=kind)
        for number, shape in enumerate(published["blobs"]):
            if kind == "BatchNorm":  # mean, variance, and the factor by which Caffe divides both
                values = np.full(shape, (0, 10000 if name == "bn_conv1" else 1, 1)[number])
            elif kind == "Scale":
                values = np.full(shape, (0.1 if name.endswith("2c") else 1, 0)[number])
            else:
                values = random.randn(*shape) * np.sqrt(2 / max(1, np.prod(shape[1:])))
            layer.blobs.add(data=values.astype(np.float32).ravel().tolist()).shape.dim.extend(shape)
    path.write_bytes(net.SerializeToString())
