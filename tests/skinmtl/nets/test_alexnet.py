"""AlexNet: BVLC's published net by the names and shapes of its layers, so that its caffemodel loads by name."""

from __future__ import annotations

import numpy as np
import pytest
from alexnet_published import options, published

from caffe_files.errors import InputError
from caffe_files.prototxt import message_text
from skinmtl.nets.multi_task import make_net
from skinmtl.nets.trunks import TRUNKS

# kernel, stride, pad and group; the initial standard deviation of the weights, and the initial bias
CONVOLUTIONS = {
    "conv1": (11, 4, 0, 1, 0.01, 0),
    "conv2": (5, 1, 2, 2, 0.01, 0.1),
    "conv3": (3, 1, 1, 1, 0.01, 0),
    "conv4": (3, 1, 1, 2, 0.01, 0.1),
    "conv5": (3, 1, 1, 2, 0.01, 0.1),
}
IN_PLACE = ("ReLU", "Dropout")


def layers(split="train", **changes):
    return {layer.name: layer for layer in make_net(options(**changes), split).layer}


def opened(folder, net):
    import caffe

    (folder / "net.prototxt").write_text(message_text(net))
    return caffe.Net(str(folder / "net.prototxt"), caffe.TEST)


@pytest.mark.caffe
def test_the_trunk_is_the_published_one_layer_for_layer(tmp_path):
    described = make_net(options(), "deploy")
    net = opened(tmp_path, described)
    expected = list(published())
    trunk = described.layer[1:-2]
    assert [layer.name for layer in described.layer[-2:]] == ["fc_lesion", "lesion_prob"]
    assert [layer.name for layer in trunk] == [layer.name for layer in expected]
    for ours, theirs in zip(trunk, expected):
        assert (ours.type, list(ours.bottom)) == (theirs.kind, [theirs.bottom]), ours.name
        assert list(ours.top) == [theirs.bottom if theirs.kind in IN_PLACE else theirs.name]
        assert list(net.blobs[ours.top[0]].data.shape) == theirs.top, ours.name
        blobs = [list(blob.data.shape) for blob in net.params.get(ours.name, [])]
        assert blobs == ([theirs.weights, theirs.weights[:1]] if theirs.weights else []), ours.name


def test_each_layers_settings_are_the_published_ones():
    net = layers()
    for name, (kernel, stride, pad, group, deviation, bias) in CONVOLUTIONS.items():
        settings = net[name].convolution_param
        found = (settings.kernel_size[0], settings.stride[0], settings.pad[0], settings.group)
        assert found == (kernel, stride, pad, group), name
        assert_filled(settings, deviation, bias)
    for name in ("fc6", "fc7"):
        assert_filled(net[name].inner_product_param, 0.005, 0.1)
    for layer in net.values():
        if layer.type == "LRN":
            assert layer.lrn_param.local_size == 5
            assert layer.lrn_param.alpha == pytest.approx(1e-4)
            assert layer.lrn_param.beta == pytest.approx(0.75)
        if layer.type == "Pooling":
            settings = layer.pooling_param
            assert (settings.pool, settings.kernel_size, settings.stride) == (settings.MAX, 3, 2)
        if layer.type == "Dropout":
            assert layer.dropout_param.dropout_ratio == 0.5


def assert_filled(settings, deviation, bias):
    assert settings.weight_filler.type == "gaussian"
    assert settings.weight_filler.std == pytest.approx(deviation)
    assert settings.bias_filler.type == "constant"
    assert settings.bias_filler.value == pytest.approx(bias)


def test_biases_learn_twice_as_fast_without_decay_and_the_head_ten_times_as_fast_as_the_trunk():
    learning = {
        name: [(param.lr_mult, param.decay_mult) for param in layer.param]
        for name, layer in layers().items()
        if layer.param
    }
    assert learning.pop("fc_lesion") == [(10, 1), (20, 0)]
    assert set(learning) == {layer.name for layer in published() if layer.weights}
    assert all(each == [(1, 1), (2, 0)] for each in learning.values())


def test_the_head_stands_on_fc7_and_the_images_lose_imagenets_mean():
    net = layers()
    assert list(net["fc_lesion"].bottom) == ["fc7"]
    assert list(net["data"].transform_param.mean_value) == [104, 117, 123]
    assert net["data"].transform_param.crop_size == 227
    assert not [name for name in net if "location" in name]


def test_training_and_test_nets_differ_in_their_data_alone():
    train, test = layers("train"), layers("test")
    assert list(train) == list(test)
    assert {name for name in train if train[name] != test[name]} == {"data", "lesion_label"}


@pytest.mark.parametrize("crop", [198, 199, 227, 230, 231])
def test_fc6_fits_published_weights_at_some_crops(crop):
    assert TRUNKS["alexnet"].fits_published(crop) == (199 <= crop <= 230)


@pytest.mark.caffe
@pytest.mark.parametrize(("trunk", "crop"), [("tiny_alexnet", 64), ("tiny_alexnet", 65), ("alexnet", 199)])
def test_the_side_that_we_compute_is_caffes(trunk, crop, tmp_path):
    net = opened(tmp_path, make_net(options(trunk=trunk, crop=crop), "deploy"))
    assert net.blobs["pool5"].data.shape[2:] == 2 * (TRUNKS[trunk].side(crop),)


def test_a_crop_that_leaves_nothing_to_see_is_refused():
    with pytest.raises(InputError, match="a crop of 20 is too small"):
        make_net(options(crop=20), "deploy")


@pytest.mark.parametrize("trunk", ["alexnet", "tiny_alexnet"])
def test_every_trunk_of_the_family_has_its_parts(trunk):
    kinds = [layer.type for layer in layers(trunk=trunk, crop=64 if "tiny" in trunk else 227).values()]
    assert [kinds.count(kind) for kind in ("Convolution", "LRN", "Pooling", "Dropout")] == [5, 2, 3, 2]


FLAGS = ("--train-data", "a", "--test-data", "b", "--lesions", 3, "--locations", 4, "--test-batch-size", 1)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--model", "alexnet_lesion", "--trunk", "resnet50"), "give one of alexnet, tiny_alexnet"),
        (("--model", "alexnet_lesion", "--trunk", "tiny"), "not of alexnet_lesion's family"),
        (("--model", "resnet50_lesion", "--trunk", "alexnet"), "give one of resnet101, resnet152, resnet50, tiny"),
        (("--model", "resnet50_mtl", "--trunk", "tiny_alexnet"), "not of resnet50_mtl's family"),
        (("--model", "alexnet_lesion", "--batch-norm", "batch"), "alexnet has no BatchNorm"),
        (("--model", "alexnet_lesion", "--trunk", "tiny_alexnet", "--batch-norm", "frozen"), "has no BatchNorm"),
        (("--model", "alexnet_lesion", "--mean", 104, 117), "--mean"),
    ],
)
def test_flags_that_do_not_go_together_are_usage_errors(tool, tmp_path, flags, said):
    done = tool("make_prototxt.py", *flags, *FLAGS, "--out", tmp_path / "net")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "net").exists()


def test_a_crop_that_published_weights_do_not_fit_is_said(tool, tmp_path):
    for crop, said in ((227, False), (256, True)):
        net = tmp_path / f"net_{crop}"
        done = tool("make_prototxt.py", "--model", "alexnet_lesion", "--crop", crop, *FLAGS, "--out", net)
        assert done.returncode == 0, done.stderr
        assert (f"published weights do not fit fc6 at a crop of {crop}" in done.stdout) == said


def test_another_mean_stands_in_the_net_and_in_its_command(tool, tmp_path):
    model = ("--model", "alexnet_lesion", "--mean", 104.00699, 116.66877, 122.67892)
    done = tool("make_prototxt.py", *model, *FLAGS, "--out", tmp_path / "net")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "net/test.prototxt").read_text()
    assert "--mean 104.00699 116.66877 122.67892 " in text.splitlines()[0]
    assert "mean_value: 116.6688\n" in text


@pytest.mark.caffe
def test_a_step_moves_weights_and_biases_by_their_own_rates(tmp_path):
    """Without momentum, weights W move by rate x lr_mult x (gradient + decay x W), biases without the decay."""
    import caffe

    caffe.set_random_seed(1)
    net = make_net(options(trunk="tiny_alexnet", crop=64, lesions=3), "train")
    for name in ("lesion_label", "data"):
        layer = next(layer for layer in net.layer if layer.name == name)
        layer.ClearField("data_param")
        layer.ClearField("transform_param")
        layer.type = "Input"
        layer.input_param.shape.add(dim=[4, 3] + ([64, 64] if name == "data" else []))
    (tmp_path / "net.prototxt").write_text(message_text(net))
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path}/net.prototxt" base_lr: 0.01 lr_policy: "fixed" weight_decay: 0.5 momentum: 0\n'
        f"max_iter: 1 random_seed: 1 snapshot_after_train: false\n"
    )
    solver = caffe.SGDSolver(str(tmp_path / "solver.prototxt"))
    random = np.random.RandomState(1)
    solver.net.blobs["data"].data[...] = random.uniform(-100, 100, (4, 3, 64, 64))
    solver.net.blobs["lesion_label"].data[...] = random.randint(0, 2, (4, 3))
    solver.net.forward()
    solver.net.backward()
    params = {name: list(blobs) for name, blobs in solver.net.params.items()}
    before = {name: [blob.data.astype(np.float64) for blob in blobs] for name, blobs in params.items()}
    gradients = {name: [blob.diff.astype(np.float64) for blob in blobs] for name, blobs in params.items()}
    solver.apply_update()
    for name, blobs in params.items():
        rates = (10, 20) if name == "fc_lesion" else (1, 2)
        for rate, decay, old, gradient, blob in zip(rates, (0.5, 0), before[name], gradients[name], blobs):
            assert np.abs(gradient).max() > 0, name
            assert np.allclose(old - blob.data, 0.01 * rate * (gradient + decay * old), atol=1e-6), name
