"""A published net that cannot be a trunk, or flags that do not go with it: one line that names the fault."""

from __future__ import annotations

import json
import re

import pytest
from papers_nets import options
from published_nets import NETS, write_net

from caffe_files.errors import InputError
from skinmtl.nets.given_trunk import read_given_trunk
from skinmtl.nets.multi_task import make_net
from skinmtl.nets.net_record import read_net_record

DATA = "layer { name: 'read' type: 'Data' top: 'data' data_param { source: 'x' batch_size: 2 backend: LMDB } }"
LOSS = (
    "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'pool10' bottom: 'label' top: 'loss' }\n"
    "layer { name: 'after' type: 'Power' bottom: 'loss' top: 'after' }"
)

IN_PLACE = "layer { name: 'again' type: 'Power' bottom: 'data' top: 'data' }"
TWO = "input: 'other' layer { name: 'both' type: 'Eltwise' bottom: 'pool10' bottom: 'other' top: 'both' }"


def written(text, folder):
    path = folder / "deploy.prototxt"
    path.write_text(text)
    return path


def squeezenet(old="", new=""):
    text = NETS["squeezenet"].make()
    assert old in text
    return text.replace(old, new) if old else text + new


@pytest.mark.parametrize(
    "text, features, words",
    [
        (squeezenet(), "pool5", r"no layer makes a blob 'pool5'; name another, such as .*pool1"),
        (squeezenet(), "data", "no layer makes a blob 'data'"),
        (squeezenet(new=IN_PLACE), "data", "data is the input itself; name a blob that layers make of it"),
        (squeezenet(new=LOSS), "after", "after comes after the loss 'loss'; name a blob below it"),
        (squeezenet("type: 'Concat'", "type: 'HDF5Output'"), "pool10", "of type HDF5Output, that no trunk may have"),
        (squeezenet("type: 'Concat'", "type: 'Python'"), "pool10", "of type Python, that no trunk may have"),
        (squeezenet("type: 'Concat'", "type: 'Axpy'"), "pool10", "of type Axpy, that no trunk may have"),  # two bottoms
        (squeezenet("input: 'data'", DATA), "pool10", r"reads images \(Data\); give the net's deploy.prototxt"),
        (squeezenet("name: 'conv10'", "name: 'fc_lesion'"), "pool10", "'fc_lesion' has the name fc_lesion, which"),
        (squeezenet("'pool1'", "'lesion_prob'"), "pool10", "has the name lesion_prob, which"),
        (squeezenet("name: 'conv10'", "name: 'conv1'"), "pool10", "two layers are called 'conv1'"),
        (squeezenet("input_dim: 3", "input_dim: 1"), "pool10", "its input data is 1 x 1 x 48 x 48, not N x 3"),
        (squeezenet("bottom: 'pool1'", "bottom: 'pool9'"), "pool10", "nothing makes the blob 'pool9'"),
        (squeezenet("type: 'Concat'", "type: 'Concat' include { phase: TEST }"), "pool10", "in some phases only"),
        (squeezenet("type: 'Concat'", "type: 'Concat' unknown_param { }"), "pool10", "unknown_param"),
        (squeezenet(new=TWO), "both", r"both needs 2 inputs \(data, other\)"),
        ("layers { layer { name: 'conv1' type: 'conv' } }", "conv1", "a net of 2013.*upgrade_net_proto_text"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_trunk_is_refused(text, features, words, tmp_path):
    with pytest.raises(InputError, match=words) as refusal:
        read_given_trunk(written(text, tmp_path), features)
    assert len(str(refusal.value).splitlines()) == 1
    assert str(refusal.value).startswith(str(tmp_path / "deploy.prototxt"))


def test_a_crop_that_is_too_small_or_a_layer_that_does_not_fit_is_named(tmp_path):
    trunk = read_given_trunk(write_net("squeezenet", tmp_path), "fire3/concat")
    with pytest.raises(InputError, match=r"a crop of 4 is too small: layer 'pool1'.*give a larger --crop"):
        trunk.fitted(4)
    text = squeezenet("num_output: 8 kernel_size: 1", "num_output: 8 group: 3 kernel_size: 1")
    with pytest.raises(InputError, match="layer 'fire2/expand1x1': 4 channels and 8 outputs do not part into 3 groups"):
        read_given_trunk(written(text, tmp_path), "pool10").fitted(48)


def test_freeze_to_names_a_layer_of_the_trunk(tmp_path):
    trunk = read_given_trunk(write_net("squeezenet", tmp_path), "fire3/concat")
    for name in ("fire9", "conv10", "data", "fc_lesion"):
        with pytest.raises(InputError, match=f"--freeze-to {name}: no layer of the trunk; name another, such as"):
            make_net(options(given=trunk, trunk="x", crop=48, freeze_to=name), "train")


@pytest.fixture
def make(tool, tmp_path):
    """make_prototxt.py on a published net."""

    def run(*flags, model="resnet50_mtl"):
        data = ("--train-data", "a", "--test-data", "b", "--lesions", 3, "--locations", 4, "--test-batch-size", 2)
        return tool("make_prototxt.py", "--model", model, *data, "--out", tmp_path / "net", *flags)

    return run


def test_the_tool_says_what_it_changed_and_net_json_has_the_blobs(make, tmp_path):
    deploy = write_net("googlenet", tmp_path)
    flags = ("--trunk-net", deploy, "--features", "pool5/whole", "--crop", 96, "--freeze-to", "conv1/7x7_s2")
    done = make(*flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/net: googlenet_like_mtl, 3 lesions, 4 locations",
        "pool5/whole averages 12 x 12 places at a crop of 96, as it does 8 x 8 at 64",
        "features: pool5/whole, 22 numbers; maps: inception_3b/output",
        "mean (B, G, R): 104 117 123, as BVLC's nets have it; where the net's own page has another, --mean",
    ]
    record = read_net_record(tmp_path / "net")
    assert (record.features_blob, record.maps_blob) == ("pool5/whole", "inception_3b/output")
    assert (record.trunk, record.crop, record.mean) == ("googlenet_like", 96, (104, 117, 123))
    assert record.trunk_net["file"] == "googlenet.prototxt" and re.fullmatch("[0-9a-f]{64}", record.trunk_net["sha256"])
    again = make(*flags, "--check")
    assert (again.returncode, again.stdout) == (0, f"{tmp_path}/net: as generated\n")
    deploy.write_text(deploy.read_text().replace("num_output: 8", "num_output: 6"))
    assert "not as generated" in make(*flags, "--check").stderr


def test_a_record_with_a_broken_origin_is_refused(make, tmp_path):
    assert make("--trunk-net", write_net("vgg", tmp_path), "--features", "fc7").returncode == 0
    path = tmp_path / "net/net.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "trunk_net": {"file": 3}}))
    with pytest.raises(InputError, match="no 'trunk_net'"):
        read_net_record(tmp_path / "net")


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--features", "pool5"), "--features goes with --trunk-net"),
        (("--input-scale", "0.017"), "--input-scale goes with --trunk-net"),
        (("--trunk-net", "x.prototxt"), "name the blob that the heads stand on, by --features"),
        (("--trunk-net", "x.prototxt", "--features", "f", "--trunk", "tiny"), "--trunk-net and --trunk"),
        (("--trunk-net", "NET", "--features", "fc7", "--stride-on", "3x3"), "vgg_like is given as it is"),
        (("--trunk-net", "NET", "--features", "fc7", "--batch-norm", "batch"), "vgg_like has no BatchNorm"),
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(flags, words, make, tmp_path):
    deploy = write_net("vgg", tmp_path)
    done = make(*(deploy if word == "NET" else word for word in flags))
    assert done.returncode == 2
    assert words in done.stderr


def test_a_net_of_boxes_and_masks_takes_no_given_trunk(make, tmp_path):
    done = make("--trunk-net", write_net("vgg", tmp_path), "--features", "fc7", model="resnet50_mask_rcnn")
    assert (done.returncode, "are those of a ResNet" in done.stderr) == (2, True)
    assert "in phases" in make("--freeze-to", "conv1", model="resnet50_mask_rcnn").stderr


def test_the_tool_refuses_a_bad_net_with_one_line(make, tmp_path, refused):
    refused(make("--trunk-net", write_net("vgg", tmp_path), "--features", "pool9"), "no layer makes a blob 'pool9'")
    refused(make("--trunk-net", tmp_path / "none.prototxt", "--features", "x"), "none.prototxt", "cannot be read")
    assert not (tmp_path / "net").exists()
