"""The nets of Song et al.: what they are made of, and that a switch changes what it names and nothing else."""

from __future__ import annotations

import json

import pytest
from mask_nets import published, small

from caffe_files.errors import InputError
from skinmtl.nets.mask_net import make_mask_net
from skinmtl.nets.mask_options import MASK_MODELS
from skinmtl.nets.multi_task import SPLITS

LEVELS = ("2", "3", "4", "5", "6")
LOSSES = ["rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss", "jaccard_loss"]


def layers(options, split="train"):
    return {layer.name: layer for layer in make_mask_net(options, split).layer}


def losses(options, split="train"):
    """Loss -> weight."""
    return {name: layer.loss_weight[0] for name, layer in layers(options, split).items() if len(layer.loss_weight)}


def told(layer):
    return json.loads(layer.python_param.param_str)


def differing(changed, split="train", **base):
    """The names of layers that a change adds, removes or alters."""
    before, after = layers(small(**base), split), layers(small(**{**base, **changed}), split)
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_train_and_test_differ_in_their_data_layer_alone():
    train, test = layers(published()), layers(published(), "test")
    assert [name for name in train if train[name] != test[name]] == ["data"]
    assert list(train) == list(test)
    said = told(train["data"])
    assert (said["source"], said["batch_size"], said["side"]) == ("data/train/image_lmdb", 2, 1024)
    assert said["mean"] == [103.0626, 115.9029, 123.1516]
    assert told(test["data"])["source"] == "data/validation/image_lmdb"
    assert list(train["data"].top) == ["data", "window", "box", "class_label", "mask", "draw"]


def test_deploy_has_the_same_weights_and_neither_targets_nor_losses():
    train, deploy = layers(published()), layers(published(), "deploy")
    learning = {"Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "Scale"}
    of_train, of_deploy = (
        {name: layer for name, layer in net.items() if layer.type in learning} for net in (train, deploy)
    )
    assert of_train == of_deploy
    assert losses(published(), "deploy") == {}
    assert [list(deploy[name].input_param.shape[0].dim) for name in ("data", "window")] == [[1, 3, 1024, 1024], [1, 4]]
    assert not any("Targets" in layer.python_param.layer for layer in deploy.values())


def test_the_losses_and_their_weights():
    assert losses(published()) == {name: 10 if name == "rpn_box_loss" else 1 for name in LOSSES}


def test_the_trunk_is_the_published_one_by_name_with_numbered_blocks_in_the_deeper_one():
    blocks = [name for name, layer in layers(published()).items() if layer.type == "Eltwise" and name[:3] == "res"]
    ends = {"res2c": "fpn_lateral2", "res3d": "fpn_lateral3", "res4f": "fpn_lateral4", "res5c": "fpn_lateral5"}
    assert len(blocks) == 16
    assert {layers(published())[lateral].bottom[0]: lateral for lateral in ends.values()} == ends
    deeper = layers(published(model="resnet101_mask_rcnn", trunk="resnet101"))
    blocks = [name for name, layer in deeper.items() if layer.type == "Eltwise" and name[:3] == "res"]
    assert blocks[:8] == ["res2a", "res2b", "res2c", "res3a", "res3b1", "res3b2", "res3b3", "res4a"]
    assert blocks[8:] == [*(f"res4b{number}" for number in range(1, 23)), "res5a", "res5b", "res5c"]
    assert {"bn4b22_branch2c", "scale4b22_branch2c", "res4b22_branch2c", "bn3b1_branch2a"} <= set(deeper)
    assert deeper["fpn_lateral4"].bottom[0] == "res4b22"


def test_one_head_proposes_on_all_levels():
    made = layers(published())
    for part in ("conv", "score", "deltas"):
        shared = [[param.name for param in made[f"rpn_{part}_p{level}"].param] for level in LEVELS]
        assert shared == [[f"rpn_{part}_w", f"rpn_{part}_b"]] * 5
    assert list(made["rpn_scores"].bottom) == [f"rpn_score_p{level}_flat" for level in LEVELS]


def test_what_lies_in_front_of_the_heads_is_frozen_or_not_but_its_scales_never_decay():
    made = layers(published())
    assert all(layer.batch_norm_param.use_global_stats for layer in made.values() if layer.type == "BatchNorm")
    scales = [layer for layer in made.values() if layer.type == "Scale"]
    assert {(param.lr_mult, param.decay_mult) for layer in scales for param in layer.param} == {(1, 0)}
    assert not any(layer.batch_norm_param.use_global_stats for layer in layers(small()).values())


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"focal": "both"}, {"class_loss"}),
        ({"focal": "none"}, {"rpn_class_loss"}),
        ({"focal": "classifier"}, {"class_loss", "rpn_class_loss"}),
        ({"jaccard": None}, {"jaccard_loss"}),
        ({"jaccard": (100, 100)}, {"jaccard_loss"}),
        ({"rho": 1}, {"rpn_box_loss"}),
        ({"class_weight": 3}, {"class_loss"}),
        ({"class_weight": 3, "focal": "both"}, {"class_loss"}),
        ({"normaliser": "locations"}, {"rpn_targets"}),
        ({"levels": "floor"}, {"roi_pool", "mask_pool"}),
        ({"mask_pooling": 7}, {"mask_pool", "roi_targets"}),
        ({"rois": 20}, {"roi_targets"}),
        ({"proposals": (30, 10)}, {"proposals"}),
        ({"scales": (8, 16, 32, 64, 128)}, {"rpn_targets", "proposals"}),
        ({"augment": 0}, {"data"}),
        ({"seed": 2}, {"data"}),
        ({"full": 8}, {"roi_fc6", "roi_fc7"}),
        ({"mask_channels": 4}, {"mask_conv1", "mask_conv2", "mask_conv3", "mask_conv4", "mask_deconv"}),
        ({"rpn_channels": 4}, {f"rpn_conv_p{level}" for level in LEVELS}),
        (
            {"also": ("lesion", "location")},
            {f"{name}_{part}" for name in ("lesion", "location") for part in ("label", "loss")}
            | {"fc_lesion", "fc_location", "pool5", "data"},  # in the order that the labels' layers keep
        ),
    ],
)
def test_a_switch_changes_what_it_names_alone(changed, names):
    assert differing(changed) == names


def test_the_deploy_net_depends_on_no_loss():
    for changed in (
        {"focal": "none"},
        {"jaccard": None},
        {"rho": 1},
        {"class_weight": 3},
        {"normaliser": "sampled"},
        {"rois": 20},
    ):
        assert differing(changed, "deploy") == set()
    assert differing({"detections": 3}, "deploy") == {"detections"}
    assert differing({"proposals": (20, 5)}, "deploy") == {"proposals"}


@pytest.mark.parametrize("split", SPLITS)
def test_a_head_alone_is_the_net_without_the_others(split):
    whole = layers(small(), split)
    for head, first, kept in (("class", "roi_class", 2), ("box", "roi_box", 2), ("mask", "mask_score", 2)):
        alone = layers(small(heads=(head,)), split)
        parts = [name for name in ("roi_class", "roi_box", "mask_score") if name in alone]
        assert parts == [first]
        assert len(losses(small(heads=(head,)), split)) in (0, kept + (2 if head == "mask" else 1))
        below = list(whole)[: list(whole).index("rpn_prob")]
        assert all(alone[name] == whole[name] for name in below)


def test_without_the_class_head_boxes_and_masks_are_of_any_lesion():
    alone = layers(small(heads=("box", "mask")))
    assert alone["roi_box"].inner_product_param.num_output == 8
    assert alone["mask_score"].convolution_param.num_output == 2
    assert told(alone["roi_targets"])["classes"] == 1
    assert layers(small())["roi_box"].inner_product_param.num_output == 12


def test_nothing_is_left_over_that_caffe_would_print():
    """Its log has every number of a top that no layer takes."""
    for heads in (("class", "box", "mask"), ("class",), ("box",), ("mask",)):
        for also in ((), ("lesion", "location")):
            for split in ("train", "test"):
                made = layers(small(heads=heads, also=also), split).values()
                taken = {blob for layer in made for blob in layer.bottom}
                tops = {blob for layer in made for blob in layer.top}
                assert all(blob.endswith("_loss") for blob in tops - taken)


def test_without_p6_four_levels_propose():
    made = layers(small(p6=False, scales=(16, 32, 64, 128)))
    assert "P6" not in made
    assert told(made["proposals"])["strides"] == [4, 8, 16, 32]
    assert len(made["rpn_scores"].bottom) == 4


def test_options_that_do_not_go_together_are_refused():
    for side, near in ((1000, "960 or 1024"), (65, "64 or 128"), (32, "give 64")):
        with pytest.raises(InputError, match=rf"--side {side}: no multiple of 64.*{near}"):
            make_mask_net(small(side=side), "train")
    with pytest.raises(InputError, match="4 for the 5 levels P2, P3, P4, P5, P6; give one for each"):
        make_mask_net(small(scales=(1, 2, 3, 4)), "deploy")


def test_the_models_are_the_papers_two():
    assert list(MASK_MODELS) == ["resnet50_mask_rcnn", "resnet101_mask_rcnn"]
    assert small().net_name == "tiny_mask_rcnn"
    assert published().net_name == "resnet50_mask_rcnn"
