"""The layers that choose regions in real Caffe: what is refused, and `caffe train`."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from conftest import CAFFE
from python_nets import constant_layer, input_layer, net_of
from region_chain import ANCHOR_TARGETS, CHAIN, PROPOSAL_TARGETS, PROPOSALS, SHAPES, M, N, P, filled

from caffe_files.errors import InputError

pytestmark = pytest.mark.caffe


@pytest.mark.parametrize(
    ("layer", "old", "new", "words"),
    [
        (
            ANCHOR_TARGETS,
            'bottom: "draw"',
            "",
            "AnchorTargets: the number of its bottoms is 2; they are box, class_label",
        ),
        (
            ANCHOR_TARGETS,
            'top: "rpn_labels"',
            "",
            "AnchorTargets: the number of its tops is 2; they are rpn_labels, rpn_",
        ),
        (
            ANCHOR_TARGETS,
            'bottom: "box"',
            'bottom: "mask"',
            r"bottom 0, box, has the shape \(3, 1, 64, 64\); it must be",
        ),
        (
            ANCHOR_TARGETS,
            '"side"',
            '"sides"',
            "AnchorTargets: param_str has an unknown field 'sides', did you mean 'side'",
        ),
        (ANCHOR_TARGETS, "}'", "'", "AnchorTargets: param_str is not JSON"),
        (
            PROPOSALS,
            '"side": 64',
            '"side": 128',
            r"bottom 0, rpn_prob, has the shape \(3, 2, 1020\); it must be \(N, 2, 4080\)",
        ),
        (
            PROPOSALS,
            'bottom: "rpn_deltas"',
            'bottom: "rpn_prob"',
            r"rpn_deltas, has the shape \(3, 2, 1020\); it must be \(3, 4",
        ),
        (
            PROPOSAL_TARGETS,
            'bottom: "mask"',
            'bottom: "box"',
            r"bottom 3, mask, has the shape \(3, 4\); it must be \(3, 1, S, S\)",
        ),
        (PROPOSAL_TARGETS, '"classes": 2, ', "", "ProposalTargets: param_str has no 'classes'"),
    ],
)
def test_a_net_that_does_not_fit_is_refused_with_a_line(tmp_path, layer, old, new, words):
    assert old in layer
    blobs, told = layer.split("param_str: '")
    changed = f"{blobs.replace(old, new, 1)}param_str: '{told if old in blobs else told.replace(old, new, 1)}"
    shapes = {**SHAPES, "rpn_prob": (N, 2, M), "proposals": (N, P, 5)}
    inputs = [input_layer(name, shape) for name, shape in shapes.items() if f'bottom: "{name}"' in changed]
    with pytest.raises(InputError, match=words) as error:
        net_of(tmp_path, "".join(inputs) + changed)
    assert "\n" not in str(error.value)


def test_labels_that_the_net_does_not_know_and_boxes_without_area_are_refused(tmp_path):
    net = filled(tmp_path, CHAIN, class_label=np.float32([1, 3, 0]))
    with pytest.raises(InputError, match="ProposalTargets: a class_label is 3, but classes in param_str is 2"):
        net.forward()
    net = filled(tmp_path, CHAIN, class_label=np.float32([1, 2, 1]))
    with pytest.raises(InputError, match=r"AnchorTargets: box 2 of the batch .* has no area, but its class_label is 1"):
        net.forward()


# `caffe train`


def caffe_train(folder, text):
    (folder / "net.prototxt").write_text(text)
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 20 display: 1 random_seed: 1\n'
        f'snapshot_after_train: false snapshot_prefix: "{folder}/n"\n'
    )
    return subprocess.run(
        [CAFFE, "train", "-solver", str(folder / "solver.prototxt")], stderr=subprocess.PIPE, cwd=str(folder)
    )


def constants(**values):
    """The inputs as layers that hold one number each, instead of a data layer; a pair is a box of two corners."""
    text = CHAIN
    for name, shape in SHAPES.items():
        value = values.get(name, 0)
        held = constant_layer(name, shape, value)
        if isinstance(value, tuple):
            held = "".join(constant_layer(f"{name}_{corner}", (N, 2), corner) for corner in value)
            held += f'layer {{ name: "{name}" type: "Concat" bottom: "{name}_{value[0]}" bottom: "{name}_{value[1]}" '
            held += f'top: "{name}" concat_param {{ axis: 1 }} }}\n'
        text = text.replace(input_layer(name, shape), held)
    return text


@pytest.mark.parametrize("label", [0, 1])
def test_caffe_train_trains_through_all_of_them(tmp_path, label):
    """Features that are all alike: the heads learn the class by its share, whether or not there is a lesion."""
    corners = (8, 56) if label else (0, 0.0)
    held = constants(P2=1, P3=1, P4=1, P5=1, window=(0, 64), box=corners, class_label=label, mask=label)
    ran = caffe_train(tmp_path, held)
    log = ran.stderr.decode()
    assert ran.returncode == 0, log[-2000:]
    for name in ("class_loss", "box_loss", "jaccard_loss"):
        losses = [float(line.split(f" {name} = ")[1].split()[0]) for line in log.splitlines() if f" {name} = " in line]
        assert len(losses) >= 20
        assert losses[-1] < losses[0] if label or name == "class_loss" else set(losses) == {0}


def test_what_is_wrong_ends_caffe_train_with_one_line_and_no_trace(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "GLOG_minloglevel", "2")
    ran = caffe_train(tmp_path, constants().replace('"pooled": 3', '"poled": 3'))
    assert ran.returncode == 1
    assert ran.stderr.decode() == "caffe: RoIAlign: param_str has an unknown field 'poled', did you mean 'pooled'?\n"
    ran = caffe_train(tmp_path, constants(class_label=3, box=0))
    assert ran.returncode == 1
    assert ran.stderr.decode().startswith("caffe: AnchorTargets: box 0 of the batch (0, 0, 0, 0) has no area")
    assert ran.stderr.count(b"\n") == 1
