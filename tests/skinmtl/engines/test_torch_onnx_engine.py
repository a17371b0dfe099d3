"""--engine onnx: the blobs, scores, features and maps of BVLC Caffe, by onnxruntime; what it cannot do is one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from caffe_reference import PYTHON
from conftest import ROOT
from made_masks_model import MaskModel
from made_model import MEAN, SHORT_SIDE, SIDE, request, write_drawn_weights, write_small_net

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
pytest.importorskip("onnx", reason="onnx is not installed here: make torch")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here: make torch")

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.data.folds import select
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.engine import Engine
from skinmtl.explanation.attending import Looks, attend_manifest
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.attention_tasks import chosen
from skinmtl.explanation.attention_ways import Ways
from skinmtl.explanation.extracting import extract
from skinmtl.explanation.features_file import read_features
from skinmtl.nets.net_blobs import blobs_of
from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.onnx_check import drawn_images
from skinmtl.publishing.photographs import gather
from skinmtl.publishing.predicting import Predictor, predict
from skinmtl.scores.forward import Protocol
from skinmtl.scores.scores_file import read_scores
from skinmtl.scores.scoring import score

pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")
ONNX, TORCH = Engine("onnx"), Engine("torch")
NAMES = {"lesion_names": ["crust", "nodule", "scar"], "location_names": ["back", "face", "hands", "scalp"]}
# of pycaffe: a forward pass over images that lie in a .npz
CAFFE = """
import json, sys
from pathlib import Path
import numpy as np
from skinmtl.engines.engine import Engine
deploy, weights, images, blobs, any_size, out = json.loads(sys.argv[1])
net = Engine("caffe").open(Path(deploy), Path(weights))
np.savez(out, *net.forward({"data": np.load(images)}, blobs, any_size))
"""


class Drawn:
    """A committed net with drawn weights."""

    def __init__(self, model, folder):
        self.deploy, self.weights, self.folder = ROOT / "prototxt" / model / "deploy.prototxt", folder / "w", folder
        self.shapes = TORCH.shapes(self.deploy)
        write_drawn_weights(self.deploy, self.shapes.params, self.weights)
        self.side = self.shapes.tops["data"][2]
        known = blobs_of(self.deploy)
        self.maps = known.maps
        self.blobs = [name for name in self.shapes.tops if name.endswith("_prob")] + [known.features]

    def images(self, count, height=None, width=None):
        random = np.random.RandomState(count)
        return random.standard_normal((count, 3, height or self.side, width or self.side)).astype(np.float32) * 50

    def caffes(self, images, blobs, any_size=False):
        np.save(self.folder / "images.npy", images)
        files = [str(self.folder / "images.npy"), blobs, any_size, str(self.folder / "out.npz")]
        words = json.dumps([str(self.deploy), str(self.weights), *files])
        subprocess.run([str(PYTHON), "-c", CAFFE, words], cwd=str(ROOT / "python"), check=True)
        with np.load(self.folder / "out.npz") as found:
            return [found[key] for key in found.files]


@pytest.fixture(scope="module", params=["tiny_mtl", "tiny_alexnet_lesion"])
def drawn(request, tmp_path_factory):
    return Drawn(request.param, tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    net = write_small_net(tmp_path_factory.mktemp("small"))
    (net.folder / "labels.json").write_text(json.dumps(NAMES))
    return net


@pytest.fixture
def threads():
    """Sets PyTorch's number of threads, which the engine goes by, for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def close(found, expected, within=1e-5):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=within * max(1, np.abs(expected).max()), rtol=0)


@needs_caffe
def test_probabilities_features_and_maps_are_caffes(drawn):
    images, blobs = drawn.images(3), [*drawn.blobs, *([drawn.maps] if drawn.maps else [])]
    for name, found, expected in zip(
        blobs, ONNX.open(drawn.deploy, drawn.weights).forward({"data": images}, blobs), drawn.caffes(images, blobs)
    ):
        assert expected.std() > 0.001, name  # something to agree on
        close(found, expected)


@needs_caffe
def test_maps_of_a_photograph_of_odd_size_are_caffes(tmp_path):
    net = Drawn("tiny_mtl", tmp_path)
    photograph = net.images(1, 97, 131)
    opened = ONNX.open(net.deploy, net.weights)
    (found,) = opened.forward({"data": photograph}, [net.maps], any_size=True)
    (expected,) = net.caffes(photograph, [net.maps], any_size=True)
    close(found, expected)
    (other,) = opened.forward({"data": photograph[:, :, :70, :89]}, [net.maps], any_size=True)  # the same session
    assert other.shape[2] < found.shape[2]


@pytest.mark.parametrize("count", [1, 4, 7])
def test_threads_that_share_a_batch_change_nothing(drawn, threads, count):
    images, opened = drawn.images(count), ONNX.open(drawn.deploy, drawn.weights)
    threads(1)
    alone = opened.forward({"data": images}, drawn.blobs)
    threads(2)
    for _ in range(2):
        for found, expected in zip(opened.forward({"data": list(images)}, drawn.blobs), alone):
            close(found, expected, 1e-6)


def test_a_blob_may_be_asked_for_twice_and_in_any_order(small):
    data = {"data": np.ones((2, 3, SIDE, SIDE), np.float32)}
    opened = ONNX.open(small.deploy, small.weights)
    pool, prob = opened.forward(data, ["pool5", "lesion_prob"])
    again = opened.forward(data, ["lesion_prob", "pool5", "lesion_prob"])
    assert [each.shape for each in again] == [prob.shape, pool.shape, prob.shape]
    for found, expected in zip(again, (prob, pool, prob)):
        assert (found == expected).all()
    of_torch = TORCH.open(small.deploy, small.weights)
    for found, expected in zip(opened.parameters("fc_lesion"), of_torch.parameters("fc_lesion")):
        assert (found == expected).all()


@pytest.mark.parametrize("how", [{}, {"heads": ("class",), "also": ("lesion",)}])
def test_a_net_with_masks_gives_the_answers_of_caffe_torch(tmp_path, threads, how):
    """Several images of one batch, each by itself; rows behind the first may come in another order."""
    model = MaskModel(tmp_path / "net", **how)
    pairs = drawn_images(64, 3)
    inputs = {name: np.concatenate(parts) for name, parts in zip(("data", "window"), zip(*pairs))}
    there = TORCH.shapes(model.deploy).tops
    blobs = [name for name in ("detections", "detection_masks", "lesion_prob") if name in there]
    expected = dict(zip(blobs, map(np.array, TORCH.open(model.deploy, model.weights).forward(inputs, blobs))))
    for count in (1, 2, 4):
        threads(count)
        found = dict(zip(blobs, ONNX.open(model.deploy, model.weights).forward(inputs, blobs)))
        assert [each.shape for each in found.values()] == [each.shape for each in expected.values()]
        np.testing.assert_allclose(found["detections"][:, 0], expected["detections"][:, 0], atol=2e-3)
        if "detection_masks" in blobs:
            rows = expected["detections"].shape[1]
            np.testing.assert_allclose(found["detection_masks"][::rows], expected["detection_masks"][::rows], atol=1e-3)
        else:
            close(found["lesion_prob"], expected["lesion_prob"])


def test_a_net_that_diverged_is_not_taken_for_another(small, tmp_path):
    """Numbers beyond float32 are no probabilities, whatever a ReLU makes of NaN."""
    stored = read_caffemodel(small.weights)
    for layer in stored.layer:
        if layer.name in ("conv1", "res2a_branch1"):
            layer.blobs[0].data[:] = [3e38 * (-1) ** n for n in range(len(layer.blobs[0].data))]
    (tmp_path / "w").write_bytes(stored.SerializeToString())
    images = np.random.RandomState(1).standard_normal((2, 3, SIDE, SIDE)).astype(np.float32) * 100
    (found,) = ONNX.open(small.deploy, tmp_path / "w").forward({"data": images}, ["location_prob"])
    assert not np.isfinite(found).any()


def test_score_py_and_a_model_folder_run_by_it(small, small_set, tool, tmp_path):
    words = ["--deploy", small.deploy, "--weights", small.weights, "--manifest", small_set.manifest, "--workers", 1]
    words += ["--images", small_set.images, "--folds", small_set.folds, "--fold", 0, "--subset", "test"]
    done = tool("score.py", *words, "--short-side", SHORT_SIDE, "--engine", "onnx", "--out", tmp_path / "onnx.npz")
    assert done.returncode == 0, done.stderr
    found = read_scores(tmp_path / "onnx.npz")
    protocol = Protocol(SHORT_SIDE, MEAN, 10, TORCH, 1)
    manifest = select(read_manifest(small_set.manifest), small_set.folds, 0, "test")
    expected = score(small.deploy, small.weights, manifest, small_set.images, protocol, tmp_path / "torch.npz", {})
    close(found.lesion_scores, expected.lesion_scores)
    close(found.location_scores, expected.location_scores)
    assert found.protocol["engine"] == f"onnxruntime {onnxruntime.__version__}"
    assert found.protocol["precision"] == "fp32"
    export(request(small, engine=TORCH), tmp_path / "model", {})
    model = read_model_folder(tmp_path / "model")
    predictor = Predictor(model, Protocol(model.short_side, model.mean, 10, ONNX, 1), attends=False)
    items, _ = gather([str(small_set.images / f"{number}.jpg") for number in range(2)], None)
    for one, row in zip(predict(predictor, items, None, {}), expected.lesion_scores):
        close(one.probabilities["lesion"], row)
    assert predictor.record()["engine"].startswith("onnxruntime ")


def test_features_and_maps_are_those_of_the_other_engine(small, small_set, tmp_path):
    manifest = chosen(read_manifest(small_set.manifest), ["1.jpg", "2.jpg"], None, 1)
    found = {}
    for engine in (ONNX, TORCH):
        protocol, folder = Protocol(SHORT_SIDE, MEAN, 10, engine, 1, 1), tmp_path / engine.name
        out = tmp_path / f"{engine.name}.npz"
        extract(small.deploy, small.weights, manifest, small_set.images, protocol, out, {})
        looks, protocol = Looks(Ways("cam", "photograph")), Protocol(SHORT_SIDE, MEAN, 10, engine, 1)
        place = (manifest, small_set.images, True, protocol, folder, {})
        attend_manifest(small.deploy, small.weights, *place, looks=looks)
        maps = AttentionFile(folder / "attention.npz").read(0, "lesion")
        found[engine] = read_features(out).features, maps.maps, maps.probabilities
    for ours, theirs in zip(found[ONNX], found[TORCH]):
        assert theirs.std() > 0
        close(ours, theirs, 2e-5)


@pytest.mark.parametrize(
    ("given", "blobs", "words"),
    [
        (
            {"data": np.zeros((1, 3, SIDE, SIDE + 1))},
            ["pool5"],
            r"the input 'data' is \(1, 3, 32, 32\) but for",
        ),
        ({"data": np.zeros((1, 4, SIDE, SIDE))}, ["pool5"], "the input 'data' is"),
        ({"window": np.zeros((1, 4))}, ["pool5"], "no array for the input 'data'"),
        ({"data": np.zeros((1, 3, SIDE, SIDE))}, ["gone"], "the net has no blob 'gone'; it has data, conv1"),
    ],
)
def test_a_wrong_input_is_one_line(small, given, blobs, words):
    with pytest.raises(InputError, match=words):
        ONNX.open(small.deploy, small.weights).forward(given, blobs)


def test_what_has_no_counterpart_is_refused_before_any_image_is_read(small, small_set, tool, refused, tmp_path):
    for file in ("small.caffemodel", "test.prototxt"):
        shutil.copy(small.folder / file, tmp_path)
    deploy = tmp_path / "deploy.prototxt"
    text = small.deploy.read_text()
    deploy.write_text(text.replace("type: 'ReLU'", "type: 'TanH'", 1))
    words = ["--deploy", deploy, "--weights", small.weights, "--manifest", small_set.manifest, "--engine", "onnx"]
    words += ["--images", small_set.images, "--short-side", SHORT_SIDE, "--out", tmp_path / "s.npz"]
    done = tool("score.py", *words)
    refused(done, "--engine onnx: layer 'conv1_relu': type TanH cannot be written as ONNX; use --engine torch")
    assert not (tmp_path / "s.npz").exists()
    with pytest.raises(InputError, match=r"--gpu 0: this onnxruntime is made for CPUs alone; .* or leave --gpu out"):
        Engine("onnx", 0).shapes(deploy)


def test_grad_cam_is_refused_with_what_to_do(small, small_set, tool, refused, tmp_path):
    words = ["--deploy", small.deploy, "--weights", small.weights, "--query", small_set.images / "1.jpg"]
    words += ["--short-side", SHORT_SIDE, "--engine", "onnx", "--out", tmp_path / "maps"]
    refused(tool("attend.py", *words, "--method", "grad-cam"), "grad-cam needs gradients", "use --engine torch")
    assert not (tmp_path / "maps").exists()
    with pytest.raises(InputError, match="onnxruntime gives no gradients; use --engine torch or --engine caffe"):
        ONNX.open(small.deploy, small.weights).gradients({}, "res5c", "fc_lesion", np.zeros(1))


@pytest.mark.parametrize(("library", "title"), [("onnxruntime", "onnxruntime"), ("onnx", "onnx"), ("torch", "PyTorch")])
def test_a_library_that_is_not_there_is_named_with_the_command(monkeypatch, library, title):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=f"--engine onnx needs {title}, which .*: pip install onnxruntime onnx torch"):
        ONNX.library()


def test_an_error_of_onnxruntime_is_one_line(small, monkeypatch):
    opened = ONNX.open(small.deploy, small.weights)
    monkeypatch.setattr(type(opened), "_checked", lambda self, inputs, blobs, any_size: dict(inputs))
    with pytest.raises(InputError, match=r"--engine onnx: the net cannot be run by onnxruntime \(.*\); use") as error:
        opened.forward({"data": np.zeros((1, 3, 5), np.float32)}, ["pool5"])
    assert "\n" not in str(error.value)
