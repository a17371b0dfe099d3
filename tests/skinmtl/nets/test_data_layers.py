"""What reads data in a net: known wherever a net is looked at, and replaced where a net is built without its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from made_lesions import TOPS, lesion_layer, lesion_records, write_lesion_lmdbs

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.engines.snapshot import checked_snapshot
from skinmtl.nets.data_layers import DataLayer, data_layer
from skinmtl.nets.mask_net import make_mask_net
from skinmtl.nets.mask_options import MaskNetOptions
from skinmtl.nets.net_probe import net_shapes, without_data

SHAPES = ((1, 3, 64, 64), (1, 4), (1, 4), (1,), (1, 1, 64, 64), (1, 2))


def layer_of(text):
    return text_format.Parse(text, caffe_messages().NetParameter()).layer[0]


def test_lesion_data_is_known_with_all_that_it_reads_and_shows():
    found = data_layer(layer_of(lesion_layer("a/train/image_lmdb", 7)), Path("train.prototxt"))
    beside = (Path("a/train/mask_lmdb"), Path("a/train/lesion_lmdb"))
    assert found == DataLayer("data", Path("a/train/image_lmdb"), 7, 0, beside=beside, shapes=SHAPES)
    assert found.sources == (Path("a/train/image_lmdb"), *beside)


def test_its_settings_are_checked_in_the_net_that_has_it():
    with pytest.raises(InputError, match=r"^train.prototxt: data: augment in param_str is 9; give a whole number"):
        data_layer(layer_of(lesion_layer("s", augment=9)), Path("train.prototxt"))


def test_without_data_every_top_is_an_input_of_one_image():
    net = text_format.Parse(lesion_layer("s", 7), caffe_messages().NetParameter())
    without_data(net, Path("train.prototxt"))
    (layer,) = net.layer
    assert (layer.type, tuple(layer.top)) == ("Input", TOPS)
    assert tuple(tuple(shape.dim) for shape in layer.input_param.shape) == SHAPES


@pytest.fixture
def mask_net(tmp_path):
    """Writes the training net of a tiny trunk, with what a test changes of it."""

    def make(change=str, split="train"):
        options = MaskNetOptions(
            *("resnet50_mask_rcnn", "tiny", 128, 2, 3, "nowhere/train", "nowhere/test", 2, 2, False),
            **{"channels": 16, "rpn_channels": 16, "full": 32, "mask_channels": 16, "also": ("lesion",)},
            **{"proposals": (50, 20), "rois": 12},
        )
        path = tmp_path / f"{split}.prototxt"
        path.write_text(change(text_format.MessageToString(make_mask_net(options, split))))
        return path

    return make


@pytest.mark.caffe
def test_stock_caffe_builds_a_training_net_of_masks_without_its_data(mask_net):
    """The labels of --also, and what hangs on them, are left out as in other nets."""
    tops = net_shapes(mask_net()).tops
    assert [tuple(tops[top]) for top in ("data", "window", "mask")] == [(1, 3, 128, 128), (1, 4), (1, 1, 128, 128)]
    assert {"rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss", "jaccard_loss"} <= set(tops)
    assert "fc_lesion" in tops
    assert "lesion_loss" not in tops


@pytest.mark.caffe
def test_what_a_layer_of_ours_says_of_such_a_net_is_the_reason(mask_net):
    wrong = mask_net(lambda text: text.replace('\\"side\\": 128', '\\"sidee\\": 128', 2))
    with pytest.raises(InputError, match=r"train.prototxt: data: param_str has an unknown field 'sidee'"):
        net_shapes(wrong)
    wrong = mask_net(lambda text: text.replace('bottom: "window"', 'bottom: "draw"'))
    with pytest.raises(
        InputError, match=r"train.prototxt: Proposals: its bottom 2, window, .*; correct the net$"
    ) as error:
        net_shapes(wrong)
    assert "\n" not in str(error.value)


def test_a_net_that_reads_lesions_is_no_deploy_net(mask_net, tmp_path):
    from skinmtl.engines.engine import Engine

    with pytest.raises(InputError, match=r"reads its images from an LMDB; give a deploy.prototxt"):
        checked_snapshot(mask_net(), tmp_path / "w.caffemodel", Engine())


@pytest.mark.caffe
def test_a_training_net_of_masks_runs_on_its_data(mask_net, tmp_path):
    """All layers of the generator's net, forward and backward, on LesionData itself."""
    import caffe

    source = write_lesion_lmdbs(tmp_path / "nowhere" / "train", lesion_records([(90, 120), (120, 90), (60, 70)]))
    folder = str(source.parent)
    net = caffe.Net(str(mask_net(lambda text: text.replace("nowhere/train", folder))), caffe.TRAIN)
    try:
        net.forward()
        net.backward()
    finally:
        net.layers[0].close()
    assert sorted(net.blobs["class_label"].data) == [1, 2]
    np.testing.assert_array_equal(net.blobs["lesion_label"].data.reshape(2, 2), np.eye(2))
    losses = [float(net.blobs[name].data) for name in net.outputs]
    assert len(losses) == 7
    assert np.isfinite(losses).all()
    assert np.abs(net.params["conv1"][0].diff).sum() > 0
