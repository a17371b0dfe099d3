"""Where a ResNet has its strides and how its first pooling lies: the published net's way, or PyTorch's."""

from __future__ import annotations

import re
import shlex

import pytest
from papers_nets import layers, options
from usage_errors import usage_errors

from caffe_files.prototxt import message_text
from skinmtl.nets.multi_task import make_net

DATA = ["--train-data", "a", "--test-data", "b", "--lesions", 2, "--locations", 2, "--test-batch-size", 1]
TORCH = {"stride_on": "3x3", "pool1": "padded"}


def strided(**changes):
    """The convolutions after conv1 that have a stride of 2."""
    net = layers("deploy", **changes)
    return [name for name, layer in net.items() if list(layer.convolution_param.stride) == [2] and name != "conv1"]


def test_the_stride_moves_from_the_first_1x1_to_the_3x3_and_stays_on_the_shortcut():
    published = [f"res{stage}a_{branch}" for stage in (3, 4, 5) for branch in ("branch1", "branch2a")]
    assert strided() == published
    assert strided(stride_on="3x3") == [name.replace("branch2a", "branch2b") for name in published]


def test_nothing_else_of_the_net_changes():
    published, torch = layers("train"), layers("train", **TORCH)
    assert list(torch) == list(published)
    changed = {name for name in torch if torch[name] != published[name]}
    assert changed == {"pool1", *(f"res{stage}a_branch2{step}" for stage in (3, 4, 5) for step in "ab")}
    pooling = torch["pool1"].pooling_param
    assert (pooling.pad, pooling.round_mode) == (1, pooling.FLOOR)


@pytest.mark.caffe
@pytest.mark.parametrize("trunk", ["resnet50", "tiny"])
@pytest.mark.parametrize("crop", [64, 65, 97, 224])
def test_pytorchs_way_has_pytorchs_sides_and_one_pool5(trunk, crop, tmp_path):
    import caffe

    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text(message_text(make_net(options(trunk=trunk, crop=crop, **TORCH), "deploy")))
    net = caffe.Net(str(deploy), caffe.TEST)
    conv1 = (crop + 6 - 7) // 2 + 1
    side = (conv1 + 2 - 3) // 2 + 1
    assert net.blobs["pool1"].data.shape[2:] == (side, side)
    for stage in (3, 4, 5):
        side = side if (trunk, stage) == ("tiny", 5) else (side + 2 - 3) // 2 + 1
        last = [name for name in net.blobs if re.fullmatch(rf"res{stage}[a-f]", name)][-1]
        assert net.blobs[last].data.shape[2:] == (side, side)
    assert net.blobs["pool5"].data.shape[2:] == (1, 1)


@pytest.mark.caffe
@pytest.mark.parametrize(("settings", "first"), [({}, 2), ({"stride_on": "3x3"}, 2), (TORCH, 0)])
def test_attention_lies_where_the_cells_look(settings, first, tmp_path):
    """PyTorch's pool1 begins a pixel further out: a cell of res5c looks at pixel 32 k, not at 32 k + 2."""
    from skinmtl.explanation.attention_geometry import cells_of

    (tmp_path / "deploy.prototxt").write_text(message_text(make_net(options(**settings), "deploy")))
    assert cells_of(tmp_path / "deploy.prototxt", "res5c") == (first, 32)


@pytest.mark.parametrize(
    ("flags", "written", "pool1"),
    [
        ([], "", "unpadded"),
        (["--stride-on", "1x1"], "", "unpadded"),
        (["--stride-on", "3x3"], "--stride-on 3x3", "padded"),
        (["--stride-on", "3x3", "--pool1", "unpadded"], "--stride-on 3x3 --pool1 unpadded", "unpadded"),
        (["--pool1", "padded"], "--pool1 padded", "padded"),
    ],
)
def test_the_first_line_has_the_flags_that_are_not_the_default_and_makes_the_net_again(
    tool, tmp_path, flags, written, pool1
):
    made = tool("make_prototxt.py", "--model", "resnet50_mtl", *flags, *DATA, "--out", "net", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "net/deploy.prototxt").read_text()
    command = re.match(r"# made by: tools/(.*)", text).group(1)
    assert " ".join(re.findall(r"--(?:stride-on|pool1) \w+", command)) == written
    assert ("round_mode: FLOOR" in text) == (pool1 == "padded")
    if written:
        assert tool(*shlex.split(command), "--check", cwd=tmp_path).returncode == 0


def test_an_alexnet_has_neither(tmp_path):
    alexnet = ["--model", "alexnet_lesion", *DATA, "--out", "net"]
    said = usage_errors("make_prototxt", [[*alexnet, "--stride-on", "3x3"], [*alexnet, "--pool1", "padded"]], tmp_path)
    assert said[0] == "--stride-on 3x3: alexnet is no ResNet; leave it out"
    assert said[1] == "--pool1 padded: alexnet is no ResNet; leave it out"
