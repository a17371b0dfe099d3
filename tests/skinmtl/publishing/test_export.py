"""tools/export.py: the model folder, what it is made from, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from made_model import ENGINE, MEAN, NAMES, SHORT_SIDE, request, write_drawn_weights, write_small_net
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.snapshot import Snapshot, checked_snapshot
from skinmtl.nets.net_probe import NetShapes
from skinmtl.publishing import exporting
from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.trained_names import label_names
from skinmtl.training.trained_net import TrainedNet, of_run

pytest_plugins = ["made_model_fixtures"]
FILES = [
    *(".made.json", "README.md", "deploy.prototxt", "lesions.txt", "locations.txt", "model.json", "weights.caffemodel"),
    "weights.caffemodel.sha256",
]


@pytest.mark.caffe
def test_the_folder_has_all_that_is_needed_to_use_the_net(tool, small_net, tmp_path):
    out = tmp_path / "models" / "small"
    given = ("--deploy", small_net.deploy, "--weights", small_net.weights, "--short-side", SHORT_SIDE)
    done = tool("export.py", *given, "--name", "a name", "--licence", "CC0", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{out}: a name, 3 lesions, 4 locations",
        "README.md: has no metrics of these weights; give evaluate.py's --json file as --metrics",
        "README.md: does not say what data it was trained on; give --train-data or --manifest",
        "no trained_on.json: the contents of its training images are not recorded, so predict.py cannot know them",
    ]
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert (out / "deploy.prototxt").read_bytes() == small_net.deploy.read_bytes()
    assert (out / "weights.caffemodel").read_bytes() == small_net.weights.read_bytes()
    checked = subprocess.run(
        ["sha256sum", "-c", "weights.caffemodel.sha256"], cwd=str(out), capture_output=True, text=True
    )
    assert checked.stdout == "weights.caffemodel: OK\n"
    folder = read_model_folder(out)
    assert (folder.name, folder.labels, folder.mean) == ("a name", NAMES, MEAN)
    assert (folder.short_side, folder.crop, folder.crops) == (SHORT_SIDE, 32, 10)
    record = json.loads((out / "model.json").read_text())
    assert record["sha256"]["weights.caffemodel"] == sha256(small_net.weights)
    assert record["arguments"]["deploy"] == "deploy.prototxt"  # no folder of the author's machine
    assert str(tmp_path) not in (out / "model.json").read_text() + (out / "README.md").read_text()


@pytest.mark.caffe
def test_the_same_net_gives_the_same_bytes(small_net, tmp_path):
    for name in ("one", "two"):
        export(request(small_net), tmp_path / name, {"out": "of bytes \udcff"})
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    assert json.loads((tmp_path / "one" / "model.json").read_text())["arguments"]["out"] == "of bytes \udcff"


@pytest.mark.caffe
@pytest.mark.parametrize("head", ["lesion", "location"])
def test_a_net_with_one_head_has_one_list(head, tmp_path):
    net = write_small_net(tmp_path / "net", heads=[head])
    export(request(net), tmp_path / "out", {})
    assert read_model_folder(tmp_path / "out").labels == {head: NAMES[head]}
    other = {"lesion": "locations.txt", "location": "lesions.txt"}[head]
    assert not (tmp_path / "out" / other).exists()
    assert ("add up to 1" in (tmp_path / "out" / "README.md").read_text()) == (head == "location")


@pytest.mark.caffe
def test_a_run_of_train_py_has_all_that_the_flags_would_give(small_net, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    settings = {"max_iter": 40, "batch_size": 4, "iter_size": 2, "base_lr": 0.01, "seed": 3}
    record = {"arguments": {"net": str(small_net.folder)}, "data": {"training": "gone"}, "sha256": {}}
    (run / "args.json").write_text(json.dumps({**record, "settings": settings}))
    with pytest.raises(InputError, match=r"final\.caffemodel: missing: the run is not finished"):
        of_run(run)
    (run / "final.caffemodel").write_bytes(small_net.weights.read_bytes())
    source = of_run(run)
    assert (source.deploy, source.weights, source.train_data) == (small_net.deploy, run / "final.caffemodel", None)
    export(replace(request(small_net), source=source), tmp_path / "out", {})
    assert "40 iterations at most of 8 images" in (tmp_path / "out" / "README.md").read_text()


def test_a_run_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder; give a run of train"):
        of_run(tmp_path / "none")
    with pytest.raises(InputError, match=r"no run of train\.py, which leaves an args\.json"):
        of_run(tmp_path)
    (tmp_path / "final.caffemodel").write_bytes(b"")
    record = {"arguments": {"net": "gone"}, "data": {}, "sha256": {}, "settings": {}}
    (tmp_path / "args.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"args\.json: not all settings of a run are in it"):
        of_run(tmp_path)
    record["settings"] = dict.fromkeys(("max_iter", "batch_size", "iter_size", "base_lr", "seed"), 1)
    (tmp_path / "args.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"names the net gone, and gone/deploy\.prototxt is not there"):
        of_run(tmp_path)


@pytest.fixture
def names_for(tmp_path):
    """Writes a manifest with label lists; returns it."""

    def write(lesions, locations):
        (tmp_path / "lesions.txt").write_text("".join(f"{name}\n" for name in lesions))
        (tmp_path / "locations.txt").write_text("".join(f"{name}\n" for name in locations))
        (tmp_path / "manifest.csv").write_text(f"image,lesions,location\n1.jpg,{lesions[0]},{locations[0]}\n")
        return read_manifest(tmp_path / "manifest.csv")

    return write


@pytest.mark.caffe
def test_names_come_from_the_manifest_where_the_net_has_none(names_for, tmp_path):
    net = write_small_net(tmp_path / "net", labels=False)
    snapshot = checked_snapshot(net.deploy, net.weights, ENGINE)
    source = TrainedNet(net.deploy, net.weights)
    assert label_names(source, snapshot, names_for(*NAMES.values())) == NAMES
    with pytest.raises(InputError, match=r"no names of its lesion labels: none in .*net\.json; give the --manif"):
        label_names(source, snapshot, None)
    with pytest.raises(InputError, match=r"manifest\.csv: 2 lesion names, .* has 3 outputs of lesion_prob"):
        label_names(source, snapshot, names_for(["a", "b"], NAMES["location"]))
    (tmp_path / "data").mkdir()
    summary = dict.fromkeys(("n_images", "n_records", "copies"), 1)
    summary.update(short_side=[1, 1], lesion_names=["b", "a", "c"], location_names=NAMES["location"])
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({**summary, "manifest": "", "images": ""}))
    source = replace(source, train_data=tmp_path / "data")
    assert label_names(source, snapshot, None)["lesion"] == ["b", "a", "c"]
    with pytest.raises(InputError, match=r"dataset\.json: other lesion names than .*manifest\.csv"):
        label_names(source, snapshot, names_for(*NAMES.values()))


@pytest.mark.caffe
def test_a_wrong_list_beside_the_net_is_refused(small_net, names_for, tmp_path):
    net = write_small_net(tmp_path / "net")
    snapshot = checked_snapshot(net.deploy, net.weights, ENGINE)
    with pytest.raises(InputError, match="lesion_names other than in"):
        label_names(TrainedNet(net.deploy, net.weights), snapshot, names_for(["x", "y", "z"], NAMES["location"]))
    (net.folder / "labels.json").write_text(json.dumps({"lesion_names": ["a"], "location_names": NAMES["location"]}))
    with pytest.raises(InputError, match=r"labels\.json: 1 lesion names, .* has 3 outputs"):
        label_names(TrainedNet(net.deploy, net.weights), snapshot, None)


@pytest.mark.caffe
def test_what_is_wrong_is_one_line_and_leaves_no_folder(tool, refused, small_net, tmp_path):
    (tmp_path / "cut.caffemodel").write_bytes(small_net.weights.read_bytes()[:100])
    out = tmp_path / "out"
    done = tool("export.py", "--deploy", small_net.deploy, "--weights", tmp_path / "cut.caffemodel", "--out", out)
    refused(done, "cut.caffemodel", "cut short")
    with pytest.raises(InputError, match="exists already"):
        export(request(small_net), tmp_path, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export(request(small_net), tmp_path / "file" / "out", {})
    (tmp_path / "not.json").write_text("[]")
    with pytest.raises(InputError, match=r"not\.json: no JSON object; give a file of evaluate"):
        export(request(small_net, metrics=[tmp_path / "not.json"]), out, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.caffemodel", "file", "not.json"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"short_side": 20}, "takes 32 pixels; give a --short-side of at least that"),
        ({"short_side": 10**6}, "no image could be resized to that"),
        ({"mean": (1, 2, 300)}, "is not one of pixels; give another --mean"),
    ],
)
def test_a_way_of_preparing_images_that_predict_py_would_refuse_is_refused(
    changes, said, small_net, tmp_path, monkeypatch
):
    tops = {"data": [1, 3, 32, 32], **{f"{head}_prob": [1, len(names)] for head, names in NAMES.items()}}
    snapshot = Snapshot(small_net.deploy, small_net.weights, NetShapes({}, tops), ENGINE)
    monkeypatch.setattr(exporting, "checked_snapshot", lambda *given: snapshot)
    with pytest.raises(InputError, match=said):
        export(request(small_net, **changes), tmp_path / "out", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.caffe
@pytest.mark.skipif(importlib.util.find_spec("onnx") is not None, reason="onnx is installed here")
def test_a_missing_library_is_one_line(tool, refused, small_net, tmp_path):
    out = tmp_path / "out"
    done = tool("export.py", "--deploy", small_net.deploy, "--weights", small_net.weights, "--onnx", "--out", out)
    refused(done, "this Python has no onnx: make torch, and run with .venv/bin/python")
    with pytest.raises(InputError, match="this Python has no torch: make torch, and run with"):
        export(request(small_net, state_dict="pth"), out, {})
    assert not out.exists()


def test_wrong_usage(tmp_path):
    lines = [
        ["--out", "o"],
        ["--out", "o", "--deploy", "d"],
        ["--out", "o", "--run", "r", "--train-data", "d"],
        ["--out", "o", "--run", "r", "--name", "a\nb"],
        ["--out", "o", "--run", "r", "--licence", "CC\n# BY"],
        ["--out", "o", "--run", "r", "--state-dict", "pickle"],
        ["--out", "o", "--run", "r", "--short-side", "0"],
    ]
    words = [
        *("give --run, or", "give --run, or", "--run has its own"),
        *("is not a name", "is not a name", "invalid choice", "'0' is not a whole"),
    ]
    for line, said in zip(usage_errors("export", lines, tmp_path), words):
        assert said in line


@pytest.mark.caffe
@pytest.mark.parametrize("name", ["tiny_mtl", "tiny_alexnet_lesion"])
def test_opencv_reads_the_pair_and_gives_the_same_probabilities(name, tmp_path):
    import caffe
    import cv2

    deploy = ROOT / "prototxt" / name / "deploy.prototxt"
    shapes = ENGINE.shapes(deploy)
    write_drawn_weights(deploy, shapes.params, tmp_path / "weights.caffemodel")
    net = caffe.Net(str(deploy), caffe.TEST, weights=str(tmp_path / "weights.caffemodel"))
    data = np.random.RandomState(2).standard_normal(shapes.tops["data"]).astype(np.float32) * 50
    net.blobs["data"].data[...] = data
    net.forward()
    by_opencv = cv2.dnn.readNetFromCaffe(str(deploy), str(tmp_path / "weights.caffemodel"))
    by_opencv.setInput(data, "data")
    for output in set(shapes.tops) & {"lesion_prob", "location_prob"}:
        expected = net.blobs[output].data
        assert expected.std() > 0.01  # something to agree on
        assert np.abs(by_opencv.forward(output) - expected).max() < 1e-5
