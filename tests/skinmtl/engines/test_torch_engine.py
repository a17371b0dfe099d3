"""The tools with --engine torch, where there is no pycaffe: the same scores, features, maps and neighbours as Caffe."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from caffe_reference import PYTHON
from conftest import ROOT

pytest.importorskip("torch")

from caffe_files.errors import InputError
from skinmtl.data.folds import select
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import checked_snapshot, mean_of
from skinmtl.explanation.attending import Looks, attend_manifest
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.attention_tasks import chosen
from skinmtl.explanation.attention_ways import Ways
from skinmtl.explanation.extracting import extract
from skinmtl.explanation.features_file import read_features
from skinmtl.explanation.retrieving import retrieve, retrieve_images
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.scores.forward import Protocol
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import read_scores
from skinmtl.scores.scoring import score

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe"),
]
TORCH, BF16 = Engine("torch"), Engine("torch", None, "bf16")


@pytest.fixture(scope="module")
def model(small_set, tool, tmp_path_factory):
    """The tiny multi-task net on the small set, trained for five iterations by train.py --engine torch."""
    folder = tmp_path_factory.mktemp("model")
    options = NetOptions(
        "resnet50_mtl", "tiny", 64, 3, 4, str(small_set.train), str(small_set.test), 8, 8, frozen_batch_norm=False
    )
    write_net_files(net_files(options, "a test"), folder)
    (folder / "solver.prototxt").write_text("base_lr: 0.001 momentum: 0.9 random_seed: 1 max_iter: 5 test_interval: 5")
    words = ["--solver", folder / "solver.prototxt", "--net", folder, "--watch-test-fold", "--workers", 0]
    done = tool("train.py", *words, "--engine", "torch", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    deploy, snapshot = folder / "deploy.prototxt", folder / "run" / "final.caffemodel"
    return SimpleNamespace(folder=folder, deploy=deploy, snapshot=snapshot, data=small_set)


@pytest.fixture(scope="module")
def by_caffe(model, tmp_path_factory):
    """Runs a tool with the model in .caffe on the images of a subset; returns what it wrote."""

    def run(name, *more, subset="test"):
        out = tmp_path_factory.mktemp("caffe") / "out.npz"
        data = model.data
        words = ["--deploy", model.deploy, "--weights", model.snapshot, "--manifest", data.manifest]
        words += ["--images", data.images, "--folds", data.folds, "--fold", 0, "--subset", subset, "--out", out]
        command = [PYTHON, ROOT / "tools" / name, *words, "--short-side", 72, "--workers", 1, *more]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
        return out

    return run


def protocol(model, engine=TORCH, batch_size=10, crops=10):
    return Protocol(72, mean_of(model.deploy), batch_size, engine, 1, crops)


def images_of(model, subset="test"):
    return select(read_manifest(model.data.manifest), model.data.folds, 0, subset, 0.0)


def extracted(model, subset, out):
    """Features by this engine, of the centre crop."""
    given = protocol(model, crops=1)
    return extract(model.deploy, model.snapshot, images_of(model, subset), model.data.images, given, out, {})


def test_scores_are_caffes_and_so_is_the_map(model, by_caffe, tool, tmp_path):
    data, out = model.data, tmp_path / "s.npz"
    words = ["--deploy", model.deploy, "--weights", model.snapshot, "--manifest", data.manifest, "--short-side", 72]
    words += ["--images", data.images, "--folds", data.folds, "--fold", 0, "--subset", "test", "--workers", 2]
    done = tool("score.py", *words, "--engine", "torch", "--out", out)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"score.py: .*: 8 of the 8 images were watched in training, for validation\n", done.stderr)
    ours, caffes = read_scores(out), read_scores(by_caffe("score.py"))
    for head in ("lesion_scores", "location_scores"):
        np.testing.assert_allclose(getattr(ours, head), getattr(caffes, head), atol=1e-4)
        assert getattr(ours, head).std() > 0.01
    figures = [evaluate(scores) for scores in (ours, caffes)]
    for name in ("map_class", "map_image", "location_top1", "location_top3"):
        assert round(figures[0][name], 4) == round(figures[1][name], 4)
    assert ours.protocol["engine"].startswith("torch 2.")
    assert (ours.protocol["precision"], caffes.protocol["precision"]) == ("fp32", "fp32")
    same = ("net", "net_sha256", "weights_sha256", "short_side", "crop", "crops", "mean")
    assert [ours.protocol[name] for name in same] == [caffes.protocol[name] for name in same]


def test_the_batch_size_changes_nothing_and_bf16_little(model, tmp_path):
    def scored(**changes):
        given = protocol(model, **changes)
        return score(model.deploy, model.snapshot, images_of(model), model.data.images, given, tmp_path / "s.npz", {})

    plain, other_batch, bf16 = scored(), scored(batch_size=7), scored(engine=BF16)
    np.testing.assert_allclose(other_batch.lesion_scores, plain.lesion_scores, atol=1e-6)
    np.testing.assert_allclose(bf16.lesion_scores, plain.lesion_scores, atol=0.05)
    assert (bf16.lesion_scores != plain.lesion_scores).any()
    assert bf16.protocol["precision"] == "bf16"


def test_a_stopped_run_does_not_go_on_with_another_precision(model, tmp_path, capfd):
    """An image that turns bad stops the first run. Rows of fp32 and bf16 in one file would be told by nobody."""
    manifest, images = images_of(model), tmp_path / "images"
    images.mkdir()
    for row in manifest.rows:
        shutil.copy(str(model.data.images / row.image), str(images))
    whole = (images / "5.jpg").read_bytes()
    (images / "5.jpg").write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"5\.jpg"):
        score(model.deploy, model.snapshot, manifest, images, protocol(model), tmp_path / "s.npz", {})
    (images / "5.jpg").write_bytes(whole)
    score(model.deploy, model.snapshot, manifest, images, protocol(model, BF16), tmp_path / "s.npz", {})
    assert "done before" not in "".join(capfd.readouterr())


def test_features_and_neighbours_are_caffes(model, by_caffe, tmp_path):
    caffes = {subset: by_caffe("extract_features.py", subset=subset) for subset in ("train", "test")}
    ours = {}
    for subset in caffes:
        ours[subset] = tmp_path / f"{subset}.npz"
        given = protocol(model, crops=1)
        extract(model.deploy, model.snapshot, images_of(model, subset), model.data.images, given, ours[subset], {})
        found, expected = read_features(ours[subset]).features, read_features(caffes[subset]).features
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    # training images of one engine and queries of the other are compared
    for training, queries in ((ours, ours), (ours, caffes), (caffes, ours)):
        found = retrieve(read_features(training["train"]), read_features(queries["test"]), 5, *ours.values())
        expected = retrieve(read_features(caffes["train"]), read_features(caffes["test"]), 5, *ours.values())
        assert np.array_equal(found.neighbour, expected.neighbour)
        np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-3)
    first = model.data.images / images_of(model).rows[0].image
    alone = retrieve_images(
        read_features(caffes["train"]), [first], model.deploy, model.snapshot, TORCH, 5, caffes["train"]
    )
    assert np.array_equal(alone.neighbour[0], expected.neighbour[0])
    with pytest.raises(InputError, match="precision is bf16, where the training images have fp32"):
        retrieve_images(read_features(caffes["train"]), [first], model.deploy, model.snapshot, BF16, 5, caffes["train"])


def test_a_query_from_the_command_line(model, tool, tmp_path):
    extracted(model, "train", tmp_path / "train.npz")
    image = model.data.images / images_of(model, "train").rows[3].image
    words = ["--features", tmp_path / "train.npz", "--query", image, "--deploy", model.deploy, "--k", 2]
    done = tool("retrieve.py", *words, "--weights", model.snapshot, "--engine", "torch", "--out", tmp_path / "n.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "n.csv", newline="") as file:
        assert next(row["neighbour"] for row in csv.DictReader(file)) == image.name


@pytest.mark.parametrize("method", ["cam", "grad-cam", "occlusion"])
def test_attention_is_caffes(model, by_caffe, method, tmp_path):
    """cells_of, gradients and all: nothing of it needs pycaffe. At one size, since two OpenCVs enlarge differently."""
    words = ["--image", "3.jpg", "--method", method, "--sides", 72]
    caffes = AttentionFile(by_caffe("attend.py", *words) / "attention.npz")
    manifest, how = chosen(images_of(model), ["3.jpg"], None, 1), Looks(Ways(method, sides=(72,)))
    place = (manifest, model.data.images, True, protocol(model), tmp_path / "out", {})
    attend_manifest(model.deploy, model.snapshot, *place, looks=how)
    ours = AttentionFile(tmp_path / "out" / "attention.npz")
    assert ours.protocol["cells"] == caffes.protocol["cells"]
    for head in ("lesion", "location"):
        found, expected = ours.read(0, head), caffes.read(0, head)
        assert found.labels == expected.labels
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4 * np.abs(expected.maps).max())
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert json.loads((tmp_path / "out" / "attention.json").read_text())["protocol"]["engine"].startswith("torch")


def test_shapes_are_those_that_caffe_finds(model, tmp_path):
    """Of all three nets, without reading an LMDB."""
    program = "import json, sys; from pathlib import Path; from skinmtl.engines.engine import Engine; "
    program += "print(json.dumps([Engine().shapes(Path(each)) for each in sys.argv[1:]]))"
    nets = [model.folder / f"{name}.prototxt" for name in ("train", "test", "deploy")]
    command = [str(PYTHON), "-c", program, *map(str, nets)]
    done = subprocess.run(command, cwd=str(ROOT / "python"), check=True, stdout=subprocess.PIPE)
    for net, (params, tops) in zip(nets, json.loads(done.stdout)):
        found = TORCH.shapes(net)
        assert found.params == params
        assert found.tops == {name: shape for name, shape in tops.items() if "_split_" not in name}  # Caffe's own


def test_weights_are_checked_without_caffe(model, tool):
    net = model.folder / "train.prototxt"
    done = tool("check_weights.py", "--net", net, "--weights", model.snapshot, "--engine", "torch")
    assert done.returncode == 0, done.stderr
    assert f"{model.snapshot}: fits" in done.stdout


def test_what_this_engine_cannot_run_is_one_line(model, tmp_path):
    def opened(text, engine=TORCH):
        (tmp_path / "deploy.prototxt").write_text(text)
        checked_snapshot(tmp_path / "deploy.prototxt", model.snapshot, engine)

    text = model.deploy.read_text()
    for wrong, words in [
        (text.replace('type: "ReLU"', 'type: "Im2col"', 1), r"deploy.prototxt: layer .* is of type Im2col"),
        (text.replace("num_output: 3\n", "num_output: 5\n"), "fc_lesion: blob 0 is 3 x 128 in the caffemodel, 5 x 128"),
        (text.replace('bottom: "conv1"', 'bottom: "gone"', 1), "deploy.prototxt: cannot be built: .*'gone'"),
        (text.replace("kernel_size", "kernel_sizes", 1), "deploy.prototxt:.*kernel_sizes"),
        ("name: 'empty'", "net 'empty' has no layers"),
        ("layer { name: 'a' type: 'Input' top: 'a' input_param { shape { dim: 9 } } }", "no square 3-channel input"),
    ]:
        assert wrong != text, words
        with pytest.raises(InputError, match=words) as error:
            opened(wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"--gpu 99: (this machine has|PyTorch can use)"):
        opened(text, Engine("torch", 99))
