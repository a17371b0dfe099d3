"""torchvision's Mask R-CNN, converted: its pyramid and its proposals are the same in BVLC Caffe, by numbers."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
detection = pytest.importorskip("torchvision.models.detection", reason="torchvision is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from mask_nets import published
from safetensors.torch import save_file

from caffe_files.blobs import blob_shape, blob_values
from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.pretrained.mask_rcnn import head_layers
from skinmtl.regions.anchors import anchors
from skinmtl.regions.boxes import decode

pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.53, 116.28, 123.675)
SIDE = 128
REFERENCE = """
import sys
import caffe, numpy
net = caffe.Net(sys.argv[1], caffe.TEST, weights=sys.argv[2])
net.blobs["data"].data[...] = numpy.load(sys.argv[3])
net.forward(end="rpn_prob")
numpy.savez(sys.argv[4], **{name: net.blobs[name].data for name in sys.argv[5:]})
"""
BLOBS = ("P2", "P3", "P4", "P5", "P6", "rpn_prob", "rpn_deltas")


@pytest.fixture(scope="module")
def model():
    """As torchvision starts it, with statistics that are not all 0 and 1, and with heads that say something."""
    torch.manual_seed(5)
    made = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    with torch.no_grad():
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        for layer in (made.rpn.head.cls_logits, made.rpn.head.bbox_pred):
            layer.weight.normal_(0, 0.05)
            layer.bias.normal_(0, 0.3)
    return made


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "maskrcnn.safetensors"
    save_file(model.state_dict(), str(path))
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Folders of nets: one that takes all, one with matterport's 512 channels for the proposals."""
    folder = tmp_path_factory.mktemp("nets")
    settings = {"side": SIDE, "stride_on": "3x3", "pool1": "padded", "mean": CAFFE_MEAN}
    for name, changes in (("same", {"rpn_channels": 256}), ("default", {})):
        write_net_files(net_files(published(**settings, **changes), "a test"), folder / name)
    return folder


@pytest.fixture(scope="module")
def converted(checkpoint, nets, tool, tmp_path_factory):
    """(the tool's lines, the caffemodel), for either net and for none."""
    folder, made = tmp_path_factory.mktemp("converted"), {}
    for name in ("same", "default", None):
        out = folder / f"{name}.caffemodel"
        done = tool(
            "convert_weights.py", "--checkpoint", checkpoint, "--out", out, *(["--net", nets / name] if name else [])
        )
        assert (done.returncode, done.stderr) == (0, "")
        made[name] = done.stdout.splitlines(), out
    return made


@needs_caffe
def test_pyramid_and_proposals_are_those_of_torchvision(model, nets, converted, tmp_path):
    image = np.random.RandomState(3).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        levels = list(model.backbone(pixels).values())
        scores, deltas = model.rpn.head(levels)
    np.save(str(tmp_path / "image.npy"), (image[:, :, ::-1] - np.float32(CAFFE_MEAN)).transpose(2, 0, 1))
    files = [nets / "same" / "deploy.prototxt", converted["same"][1], tmp_path / "image.npy", tmp_path / "out.npz"]
    command = [str(PYTHON), "-c", REFERENCE, *map(str, files), *BLOBS]
    environment = dict(os.environ, GLOG_minloglevel="2", PYTHONPATH=str(ROOT / "python"))
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(str(tmp_path / "out.npz"))
    for name, expected in zip(BLOBS, levels):
        expected = expected.numpy()
        assert found[name].shape == expected.shape
        assert np.abs(found[name] - expected).max() < 1e-4 * np.abs(expected).max(), name
    # tall anchors are their last and our first; theirs have the anchor of a cell behind the cell
    ours, theirs = [], []
    start = 0
    for score, delta in zip(scores, deltas):
        side = score.shape[-1]
        end = start + 3 * side**2
        ours.append((found["rpn_prob"][0, 1, start:end], found["rpn_deltas"][0, :, start:end]))
        delta = delta.reshape(3, 4, -1).flip(0).transpose(0, 1).reshape(4, -1)
        theirs.append((score.sigmoid().reshape(3, -1).flip(0).ravel().numpy(), delta.numpy()))
        start = end
    for (score, delta), (their_score, their_delta) in zip(ours, theirs):
        assert np.allclose(score, their_score, atol=1e-4)
        assert np.allclose(delta * np.reshape([0.1, 0.1, 0.2, 0.2], (4, 1)), their_delta, atol=1e-3)
    assert np.ptp(theirs[0][0]) > 0.01
    _hold_boxes(model, pixels, levels, deltas, found["rpn_deltas"][0])


def _hold_boxes(model, pixels, levels, deltas, our_deltas):
    """The boxes that both make of it, to a pixel: torchvision rounds its anchors to whole ones."""
    images = detection.image_list.ImageList(pixels, [(SIDE, SIDE)])
    their_anchors = model.rpn.anchor_generator(images, levels)[0]
    by_cell = torch.cat([delta.reshape(3, 4, -1).permute(2, 0, 1).reshape(-1, 4) for delta in deltas])
    their_boxes = model.rpn.box_coder.decode(by_cell, [their_anchors]).reshape(-1, 4).numpy()
    our_anchors = anchors(SIDE, (32, 64, 128, 256, 512), (0.5, 1, 2), (4, 8, 16, 32, 64))
    our_boxes = decode(our_deltas.T, our_anchors, (0.1, 0.1, 0.2, 0.2))
    start = 0
    for level in levels:
        side = level.shape[-1]
        end = start + 3 * side**2
        ours = our_boxes[start:end].reshape(3, -1, 4)
        theirs = their_boxes[start:end].reshape(-1, 3, 4)[:, ::-1].swapaxes(0, 1)
        sizes = (theirs[..., 2:] - theirs[..., :2]).max()
        assert np.abs(ours - theirs).max() < 1 + 0.02 * sizes
        start = end


def test_what_stays_initial_is_said(converted, checkpoint, nets):
    lines, out = converted["same"]
    assert lines[0] == f"{out}: 189 layers of {checkpoint}"
    left = [f"roi_heads.box_predictor.{name}" for name in ("cls_score.weight", "cls_score.bias", "bbox_pred.weight")]
    assert lines[1].startswith("left out: ") and set(left) < set(lines[1].partition(": ")[2].split(", "))
    assert len(lines[1].split(", ")) == 6
    assert lines[2:] == ["stays initial: roi_class, roi_box, mask_score", f"fits {nets / 'same'}"]
    record = json.loads(out.with_name(out.name + ".json").read_text())
    assert record["left_initial"] == ["roi_class", "roi_box", "mask_score"]


def test_what_does_not_fit_the_net_is_left_out_for_caffe_would_stop(converted):
    lines, out = converted["default"]
    rpn = [f"rpn_{part}_p{level}" for level in "23456" for part in ("conv", "score", "deltas")]
    stays = next(line for line in lines if line.startswith("stays initial: ")).partition(": ")[2].split(", ")
    assert sorted(stays) == sorted([*rpn, "roi_class", "roi_box", "mask_score"])
    assert not [layer.name for layer in read_caffemodel(out).layer if layer.name.startswith("rpn")]


def test_without_a_net_it_says_which_it_needs(converted, tool, tmp_path):
    lines, _ = converted[None]
    command = "--model resnet50_mask_rcnn --rpn-channels 256 --stride-on 3x3 --mean 103.53 116.28 123.675"
    assert lines[-1] == f"it needs a net of: tools/make_prototxt.py {command}"
    assert lines[-2] == "stays initial: roi_class, roi_box, mask_score"


def test_names_of_before_torchvision_0_13_are_the_same_weights(model):
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    older = {}
    for name, values in state.items():
        for number in range(4):
            name = name.replace(f"mask_head.{number}.0.", f"mask_head.mask_fcn{number + 1}.")
            name = name.replace(f"_blocks.{number}.0.", f"_blocks.{number}.")
        older[name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = values
    assert set(older) != set(state)
    new, old = head_layers(state), head_layers({f"module.{name}": values for name, values in older.items()})
    assert list(new.layers) == list(old.layers) and len(new.layers) == 30
    assert all(
        np.array_equal(*pair) for name in new.layers for pair in zip(new.layers[name].blobs, old.layers[name].blobs)
    )
    assert {name[len("module.") :] for name in old.used} <= set(older)


def test_values_that_are_not_finite_are_refused(model):
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    state["backbone.fpn.layer_blocks.2.0.bias"][7] = np.nan
    with pytest.raises(InputError, match=r"layer_blocks\.2\.0\.bias has NaN or infinite values"):
        head_layers(state)


def test_an_eps_of_0_is_told_to_caffe_by_the_variances(checkpoint, nets, tool, tmp_path):
    out = tmp_path / "zero.caffemodel"
    done = tool("convert_weights.py", "--checkpoint", checkpoint, "--out", out, "--batch-norm-eps", 0)
    assert done.returncode == 0, done.stderr
    stored = {layer.name: layer for layer in read_caffemodel(out).layer}["bn2a_branch2a"]
    from safetensors.numpy import load_file

    given = load_file(str(checkpoint))["backbone.body.layer1.0.bn1.running_var"]
    assert blob_shape(stored.blobs[1], 1) == [64]
    assert np.allclose(blob_values(stored.blobs[1]) + 1e-5, given, rtol=0, atol=1e-7)
