"""make_prototxt.py on a data set with masks: what it writes, what it says of the data, what it refuses in a line."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import ROOT
from made_mask_set import NAMES, made_mask_set

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net, read_solver
from skinmtl.data.manifest import read_manifest
from skinmtl.nets.label_names import check_manifest
from skinmtl.nets.net_record import read_net_record

BOXES = [(10, 10, 80, 70), (30, 20, 90, 60), (5, 5, 120, 90), (20, 30, 70, 90), (40, 10, 100, 80), None]
TINY = ("--model", "resnet50_mask_rcnn", "--trunk", "tiny", "--side", 128)
COUNTED = ("--lesions", 2, "--test-batch-size", 2, "--train-data", "no", "--test-data", "no")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mask sets")
    made_mask_set(folder / "train", BOXES, locations=("arm", "leg"))
    made_mask_set(folder / "test", BOXES[:4], locations=("arm", "leg"))
    return folder


@pytest.fixture
def make(tool, sets, tmp_path):
    """Runs make_prototxt.py for them into tmp_path/net."""

    def run(*words, train=sets / "train", test=sets / "test"):
        data = ("--train-data", train, "--test-data", test, "--overwrite", "--out", tmp_path / "net")
        return tool("make_prototxt.py", *TINY, *data, *words, cwd=tmp_path)

    return run


def said(done):
    """The one line of a tool that refuses its input."""
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


def test_what_the_data_says_goes_into_the_files_and_their_command_makes_them_without_it(make, tool, tmp_path):
    done = make()
    assert (done.returncode, done.stderr) == (0, "")
    name, anchors, test_iter = done.stdout.splitlines()
    assert name.endswith("tiny_mask_rcnn, class, box and mask of 2 lesions at 128 x 128")
    assert re.match(
        r"anchors: the best anchor reaches an IoU of 0\.7 for \d+ %, 0\.5 for \d+ %, 0\.3 for 100 %", anchors
    )
    assert test_iter == "set in the solver: test_iter: 2"
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        *("deploy.prototxt", "net.json", "test.prototxt", "train.prototxt")
    ]
    command = re.match(r"# made by: tools/(.*)", (tmp_path / "net" / "train.prototxt").read_text()).group(1)
    assert "--lesions 2" in command and "--locations" not in command
    program, *words = shlex.split(command)
    assert tool(program, *words, "--check", cwd=tmp_path).returncode == 0


def test_net_json_says_that_it_is_a_mask_net_and_of_what(make, tmp_path):
    assert make("--detections", 4, "--mask-pooling", 7, "--also", "location").returncode == 0
    record = read_net_record(tmp_path / "net")
    assert record.is_mask_net and record.heads == ("class", "box", "mask")
    assert (record.side, record.crop, record.short_side, record.scales) == (128, 128, None, None)
    assert (record.classes, record.class_names) == (2, NAMES)
    assert (record.mask_side, record.detections) == (14, 4)
    assert record.names == {"location_names": ["arm", "leg"]}
    assert (record.features_blob, record.maps_blob) == ("pool5", "res5c")


def test_a_net_without_the_class_head_tells_no_classes(make, tmp_path):
    assert make("--heads", "mask", "box").returncode == 0
    record = read_net_record(tmp_path / "net")
    assert (record.heads, record.classes, record.class_names, record.names) == (("box", "mask"), 1, None, {})
    assert (record.features_blob, record.maps_blob) == (None, None)


def test_other_nets_have_no_heads(tool, tmp_path):
    words = ("--lesions", 2, "--locations", 3, "--test-batch-size", 2, "--train-data", "no", "--test-data", "no")
    assert tool("make_prototxt.py", "--model", "resnet50_mtl", *words, "--out", tmp_path / "mtl").returncode == 0
    record = read_net_record(tmp_path / "mtl")
    assert not record.is_mask_net
    assert (record.heads, record.side, record.class_names) == ((), 0, None)


@pytest.mark.parametrize("field", ["side", "classes", "mask_side", "detections", "heads", "long_side"])
def test_a_damaged_record_is_refused(make, tmp_path, field):
    assert make().returncode == 0
    path = tmp_path / "net" / "net.json"
    record = json.loads(path.read_text())
    for wrong in ("four", -1, []):
        path.write_text(json.dumps({**record, field: wrong}))
        with pytest.raises(InputError, match=f"no '{field}', or none of the right kind; run make_prototxt.py again"):
            read_net_record(tmp_path / "net")
    path.write_text(json.dumps({**record, "class_names": ["one"]}))
    with pytest.raises(InputError, match="no 'class_names'"):
        read_net_record(tmp_path / "net")


def test_a_manifest_of_other_classes_is_not_of_the_net(make, tmp_path):
    assert make().returncode == 0
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image,lesions,location\na.jpg,benign,arm\nb.jpg,malignant,arm\n")
    check_manifest(read_manifest(manifest), tmp_path / "net" / "deploy.prototxt")
    for lesions, words in (
        (("benign", "nevus"), "number 2 is 'nevus' where the net has 'malignant'"),
        (("benign",), "the manifest does not have 'malignant'"),
        (("benign", "malignant", "nevus"), "the net does not have 'nevus'"),
    ):
        rows = [f"{name}.jpg,{name},arm\n" for name in lesions]
        manifest.write_text("image,lesions,location\n" + "".join(rows))
        with pytest.raises(InputError, match=rf"lesion_names other than in .*net\.json: {words}; list the net's names"):
            check_manifest(read_manifest(manifest), tmp_path / "net" / "deploy.prototxt")


def test_anchors_that_fit_no_lesion_are_refused_with_the_lesions_sizes(make, tmp_path):
    line = said(make("--anchor-scales", 1, 2, 2, 3, 3))
    assert "--anchor-scales 1 2 2 3 3: no anchor reaches an IoU of 0.3 with any of 5 lesions" in line
    assert re.search(r"at 128 x 128 have a sqrt\(area\) of \d+, \d+ and \d+ pixels", line)
    assert not (tmp_path / "net").exists()


def test_data_that_a_mask_net_cannot_learn_from_is_refused(make, sets, tmp_path):
    empty = made_mask_set(tmp_path / "empty", [None, None])
    assert "every mask is empty; check the masks of the manifest" in said(make(train=empty, test=empty))
    twice = made_mask_set(tmp_path / "twice", BOXES, several=2)
    assert "twice: 2 of 6 images have not one lesion's name, and a box has one class" in said(
        make(train=twice, test=twice)
    )
    assert "has no locations for --also location" in said(make("--also", "location", train=empty, test=empty))


def test_a_data_set_without_masks_is_refused(tool, small_set, tmp_path):
    data = ("--train-data", small_set.train, "--test-data", small_set.test, "--out", tmp_path / "net")
    line = said(tool("make_prototxt.py", *TINY, *data))
    assert "has no masks, from which resnet50_mask_rcnn learns; build it from a manifest with a column mask" in line


def test_a_side_that_is_no_multiple_of_64_is_refused(tool, tmp_path):
    done = tool("make_prototxt.py", *TINY[:4], "--side", 200, *COUNTED, "--out", tmp_path / "net")
    assert said(done).endswith("--side 200: no multiple of 64, the stride of P6; give 192 or 256")
    done = tool("make_prototxt.py", *TINY, "--no-p6", "--anchor-scales", 9, *COUNTED, "--out", tmp_path / "net")
    assert said(done).endswith("--anchor-scales: 1 for the 4 levels P2, P3, P4, P5; give one for each")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((*TINY, "--crop", 64), "--crop: resnet50_mask_rcnn takes whole images; leave it out, and see --side"),
        ((*TINY, "--online-jitter"), "--online-jitter: resnet50_mask_rcnn takes whole images"),
        ((*TINY, "--jaccard", "off", "--jaccard-weight", 2), "go with --jaccard on"),
        ((*TINY, "--locations", 4), "--locations: goes with --also location"),
        ((*TINY, "--also", "location"), "--lesions and --locations go together"),
        (("--model", "resnet101_mask_rcnn", "--trunk", "alexnet"), "not of resnet101_mask_rcnn's family"),
        (("--model", "resnet50_mtl", "--side", 128), "--side is of the nets of boxes and masks"),
        (("--model", "resnet50_mtl", "--no-p6"), "--no-p6 is of the nets of boxes and masks"),
        (("--model", "alexnet_lesion", "--jaccard", "on"), "--jaccard is of the nets of boxes and masks"),
    ],
)
def test_flags_that_do_not_go_together_are_usage_errors(usage, words, error):
    assert error in usage(words)


@pytest.fixture
def usage(tool, tmp_path):
    """The last line of a usage error."""

    def run(words):
        done = tool("make_prototxt.py", *words, *COUNTED, "--out", tmp_path / "net")
        assert done.returncode == 2, done.stderr
        return done.stderr.splitlines()[-1]

    return run


def test_solvers_of_the_phases_are_filled_in_together(tool, sets, tmp_path):
    solvers = [ROOT / "solvers" / f"resnet50_mask_rcnn_phase{number}.prototxt" for number in (1, 2, 3)]
    net = (
        "--model",
        "resnet50_mask_rcnn",
        "--train-data",
        sets / "train",
        "--test-data",
        sets / "test",
        "--out",
        "net",
    )
    done = tool("make_prototxt.py", *net, "--solver", *solvers, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for number in (1, 2, 3):
        assert f"train it: caffe train -solver net/solver_phase{number}.prototxt\n" in done.stdout
        solver = read_solver(tmp_path / "net" / f"solver_phase{number}.prototxt")
        assert (solver.train_net, list(solver.test_net)) == (
            f"net/train_phase{number}.prototxt",
            ["net/test.prototxt"],
        )
        assert (list(solver.test_iter), solver.snapshot_prefix) == ([2], f"net/resnet50_mask_rcnn_phase{number}")
        learning = [
            layer.name
            for layer in read_net(tmp_path / "net" / f"train_phase{number}.prototxt").layer
            if layer.type == "Convolution" and not (len(layer.param) and layer.param[0].lr_mult == 0)
        ]
        assert learning[0] == {1: "fpn_lateral5", 2: "res4a_branch1", 3: "conv1"}[number]
    again = tool("make_prototxt.py", *net[:-1], "other", "--solver", solvers[0], solvers[0], cwd=tmp_path)
    assert "would become solver_phase1.prototxt, as another --solver does" in said(again)


def test_a_solver_of_a_phase_is_not_for_a_net_without_phases(make):
    line = said(make("--solver", ROOT / "solvers" / "resnet50_mask_rcnn_phase2.prototxt"))
    assert line.endswith("for one of the phases that tiny_mask_rcnn has not; give another solver")
