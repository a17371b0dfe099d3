"""The nets of Song et al. in stock Caffe: their shapes, the shared proposals' head, rho, the phases."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_mask_set import made_mask_set
from mask_nets import fed, published, small, solver_of

from caffe_files.errors import InputError
from caffe_files.prototxt import message_text
from skinmtl.nets.mask_net import make_mask_net
from skinmtl.nets.net_probe import net_shapes
from skinmtl.nets.phases import HEADS, frozen
from skinmtl.nets.weights import require_all_filled

pytestmark = pytest.mark.caffe


def probed(net, folder):
    """The shapes of a net that Caffe has built: no memory is taken for them before a forward pass."""
    (folder / "net.prototxt").write_text(message_text(net))
    return net_shapes(folder / "net.prototxt")


@pytest.fixture(scope="module")
def at_1024(tmp_path_factory):
    return {
        "train": probed(fed(published()), tmp_path_factory.mktemp("train")).tops,
        "deploy": probed(make_mask_net(published(), "deploy"), tmp_path_factory.mktemp("deploy")).tops,
    }


def test_the_shapes_at_1024_are_the_papers(at_1024):
    """Number 1 of the checks: stages, pyramid, anchors, proposals, pooled regions, masks."""
    for split, images in (("train", 2), ("deploy", 1)):
        tops = at_1024[split]
        assert tops["conv1"] == [images, 64, 512, 512]
        for stage, channels, side in (
            ("res2c", 256, 256),
            ("res3d", 512, 128),
            ("res4f", 1024, 64),
            ("res5c", 2048, 32),
        ):
            assert tops[stage] == [images, channels, side, side]
        for level, side in zip("23456", (256, 128, 64, 32, 16)):
            assert tops[f"P{level}"] == [images, 256, side, side]
        assert tops["rpn_scores"] == [images, 2, 261888]
        assert tops["rpn_deltas"] == [images, 4, 261888]
    train, deploy = at_1024["train"], at_1024["deploy"]
    assert (train["proposals"], deploy["proposals"]) == ([2, 2000, 5], [1, 1000, 5])
    assert (train["roi_pool"], deploy["roi_pool"]) == ([400, 256, 7, 7], [1000, 256, 7, 7])
    assert (train["mask_pool"], deploy["mask_pool"]) == ([132, 256, 14, 14], [10, 256, 14, 14])
    assert (train["mask_score"], deploy["detection_masks"]) == ([132, 3, 28, 28], [10, 3, 28, 28])
    assert (train["rpn_labels"], train["rpn_box_targets"]) == ([2, 261888], [2, 4, 261888])
    assert deploy["detections"] == [1, 10, 9]


def test_the_deeper_net_and_the_other_sides_have_their_shapes(tmp_path):
    deeper = probed(make_mask_net(published(model="resnet101_mask_rcnn", trunk="resnet101"), "deploy"), tmp_path).tops
    assert deeper["res4b22"] == [1, 1024, 64, 64]
    at_192 = probed(fed(small(side=192)), tmp_path).tops
    assert [at_192[f"P{level}"][2] for level in "23456"] == [48, 24, 12, 6, 3]
    assert at_192["rpn_scores"] == [2, 2, 3 * (48**2 + 24**2 + 12**2 + 6**2 + 3**2)]
    paper = probed(fed(small(mask_pooling=7)), tmp_path).tops
    assert (paper["mask_pool"][2:], paper["mask_score"][2:]) == ([7, 7], [14, 14])


def test_the_pyramid_is_upsampled_by_nearest_neighbours(tmp_path):
    solver = solver_of(tmp_path, small())
    solver.net.forward()
    blobs = {name: blob.data for name, blob in solver.net.blobs.items()}
    for level in (2, 3, 4):
        above = blobs["fpn_lateral5" if level == 4 else f"fpn_sum{level + 1}"]
        expected = blobs[f"fpn_lateral{level}"] + above.repeat(2, axis=2).repeat(2, axis=3)
        assert np.array_equal(blobs[f"fpn_sum{level}"], expected)
    assert np.array_equal(blobs["P6"], blobs["P5"][:, :, ::2, ::2])


def test_anchors_lie_level_by_level_anchor_by_anchor_and_row_by_row(tmp_path):
    solver = solver_of(tmp_path, small())
    solver.net.forward()
    blobs = {name: blob.data for name, blob in solver.net.blobs.items()}
    start = 0
    for level, side in zip("23456", (16, 8, 4, 2, 1)):
        end = start + 3 * side * side
        for part, rows in (("score", 2), ("deltas", 4)):
            expected = blobs[f"rpn_{part}_p{level}"].reshape(2, rows, 3 * side * side)
            assert np.array_equal(blobs["rpn_scores" if rows == 2 else "rpn_deltas"][:, :, start:end], expected)
        start = end
    assert np.allclose(blobs["rpn_prob"].sum(axis=1), 1, atol=1e-6)


def test_the_levels_share_their_head_before_and_after_training(tmp_path):
    """Number 9 of the checks: one copy, whose gradient is the sum over the levels."""
    solver = solver_of(tmp_path, small())
    before = [blob.data.copy() for blob in solver.net.params["rpn_conv_p2"]]
    solver.step(3)
    for part in ("conv", "score", "deltas"):
        of_levels = [[blob.data for blob in solver.net.params[f"rpn_{part}_p{level}"]] for level in "23456"]
        assert all(np.array_equal(*pair) for other in of_levels[1:] for pair in zip(of_levels[0], other))
    assert not np.array_equal(before[0], solver.net.params["rpn_conv_p2"][0].data)


def test_rho_scales_the_gradient_of_the_proposals_boxes_alone(tmp_path):
    """Number 8 of the checks."""
    gradients = {}
    for rho in (1, 10):
        net = solver_of(tmp_path, small(rho=rho)).net
        net.forward()
        net.backward()
        gradients[rho] = {name: net.blobs[name].diff.copy() for name in ("rpn_deltas", "rpn_scores", "roi_box")}
    assert gradients[1]["rpn_deltas"].any()
    assert np.allclose(gradients[10]["rpn_deltas"], 10 * gradients[1]["rpn_deltas"], rtol=1e-5, atol=1e-9)
    for name in ("rpn_scores", "roi_box"):
        assert gradients[1][name].any()
        assert np.array_equal(gradients[10][name], gradients[1][name])


def test_after_the_first_phase_the_trunk_is_bit_for_bit_what_it_was(tmp_path):
    """Number 8 of the checks, its second half. First some steps of all, so that the statistics are set."""
    first = solver_of(tmp_path, small())
    first.step(2)
    first.net.save(str(tmp_path / "set.caffemodel"))
    solver = solver_of(tmp_path, small(), frozen(make_mask_net(small(), "train"), HEADS))
    solver.net.copy_from(str(tmp_path / "set.caffemodel"))
    before = {name: [blob.data.copy() for blob in blobs] for name, blobs in solver.net.params.items()}
    solver.step(3)
    moved = {
        name
        for name, blobs in solver.net.params.items()
        if not all(np.array_equal(was, blob.data) for was, blob in zip(before[name], blobs))
    }
    trunk = {name for name in before if name.startswith(("conv1", "bn", "scale", "res"))}
    assert len(trunk) == 3 * (1 + 4 * 4 + 2 * 3)
    assert moved == set(before) - trunk


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"heads": ("class",)},
        {"heads": ("box",)},
        {"heads": ("mask",)},
        {"also": ("lesion", "location")},
        {"focal": "none", "jaccard": None},
        {"p6": False, "scales": (8.0, 16.0, 32.0, 64.0)},
    ],
    ids=json.dumps,
)
def test_it_trains_and_its_deploy_net_answers(changes, tmp_path):
    import caffe

    options = small(**changes)
    solver = solver_of(tmp_path, options)
    solver.step(2)
    losses = {name: float(solver.net.blobs[name].data) for name in solver.net.outputs}
    assert all(np.isfinite(value) and value >= 0 for value in losses.values())
    assert all(name.endswith("_loss") for name in losses)
    solver.net.save(str(tmp_path / "trained.caffemodel"))
    (tmp_path / "deploy.prototxt").write_text(message_text(make_mask_net(options, "deploy")))
    net = caffe.Net(str(tmp_path / "deploy.prototxt"), str(tmp_path / "trained.caffemodel"), caffe.TEST)
    net.blobs["data"].data[...] = solver.net.blobs["data"].data[:1]
    net.blobs["window"].data[...] = [0, 0, 64, 64]
    found = net.forward()
    assert found["detections"].shape == (1, 10, 7 + options.classes)
    x1, y1, x2, y2 = found["detections"][0, 0, :4]
    assert 0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 64
    assert ("detection_masks" in found) == ("mask" in options.heads)
    assert {f"{head}_prob" for head in options.also} <= set(found)


def test_weights_of_another_net_are_told_in_a_line(tmp_path):
    for name, changes in (("class", {"heads": ("class",)}), ("narrow", {"channels": 4})):
        solver = solver_of(tmp_path, small(**changes))
        solver.step(1)
        solver.net.save(str(tmp_path / f"{name}.caffemodel"))
    prototxt = tmp_path / "net.prototxt"
    shapes = probed(make_mask_net(small(), "deploy"), tmp_path)
    missing = "roi_box, mask_conv1, mask_conv2, mask_conv3, mask_conv4, mask_deconv, mask_score"
    with pytest.raises(InputError, match=rf"class\.caffemodel: not of the net .*: nothing in it for {missing}; give"):
        require_all_filled(prototxt, tmp_path / "class.caffemodel", shapes)
    other = "fpn_lateral5: blob 0 is 4 x 128 x 1 x 1 in the caffemodel, 8 x 128 x 1 x 1 in the net"
    with pytest.raises(InputError, match=rf"not of the net .*: {other}"):
        require_all_filled(prototxt, tmp_path / "narrow.caffemodel", shapes)


def test_the_labels_of_the_whole_image_are_read_in_step_with_its_box(tmp_path):
    """Over the end of the data, which no batch meets: a class is the lesion's name that its label says."""
    import caffe

    boxes = [(10, 10, 80, 70), (30, 20, 90, 60), (5, 5, 120, 90), (20, 30, 70, 90), (40, 10, 100, 80)]
    made_mask_set(tmp_path / "train", boxes, locations=("arm", "leg", "back"))
    options = small(also=("lesion", "location"), train_data=f"{tmp_path}/train", augment=0)
    (tmp_path / "train.prototxt").write_text(message_text(make_mask_net(options, "train")))
    net = caffe.Net(str(tmp_path / "train.prototxt"), caffe.TRAIN)
    seen = []
    for _ in range(4):
        net.forward(end="location_label")
        classes, lesions, locations = (
            net.blobs[name].data for name in ("class_label", "lesion_label", "location_label")
        )
        assert np.array_equal(1 + lesions.reshape(2, 2).argmax(axis=1), classes)
        seen += locations.ravel().tolist()
    assert seen == [number % 5 % 3 for number in range(8)]


def test_the_whole_resnet_50_at_512_is_built_as_it_is_trained(tmp_path):
    """With all that its layers say, and its first phase; memory is taken by a forward pass alone."""
    import caffe

    options = published(side=512)
    for net in (fed(options), frozen(fed(options), HEADS)):
        (tmp_path / "train.prototxt").write_text(message_text(net))
        built = caffe.Net(str(tmp_path / "train.prototxt"), caffe.TRAIN)
        assert built.blobs["rpn_scores"].shape[2] == 65472
        assert sorted(built.outputs) == sorted(
            ["rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss", "jaccard_loss"]
        )
