"""Which layers a caffemodel fills: what Caffe would skip without a word is said, and a misfit exits 1."""

from __future__ import annotations

import pytest

from caffe_files.prototxt import read_caffemodel
from caffe_files.schema import caffe_messages
from skinmtl.nets.net_probe import net_shapes
from skinmtl.nets.weights import compare_weights

pytestmark = pytest.mark.caffe


@pytest.fixture
def changed(tiny_model, tmp_path):
    """A copy of the snapshot, changed by a function of its layers by name."""

    def change(alter):
        net = read_caffemodel(tiny_model.snapshot)
        alter(net, {layer.name: layer for layer in net.layer})
        path = tmp_path / "changed.caffemodel"
        path.write_bytes(net.SerializeToString())
        return path

    return change


@pytest.fixture
def check(tool, tiny_model):
    return lambda weights, *more: tool("check_weights.py", "--net", tiny_model.deploy, "--weights", weights, *more)


def test_a_snapshot_fills_its_own_net(check, tiny_model):
    done = check(tiny_model.snapshot)
    assert done.returncode == 0
    assert "71 filled" in done.stdout
    assert "fits" in done.stdout


def test_the_training_net_is_checked_without_its_lmdbs(tool, tiny_model, tmp_path):
    text = (tiny_model.folder / "train.prototxt").read_text().replace(str(tiny_model.data.train), "/nowhere")
    (tmp_path / "train.prototxt").write_text(text)
    done = tool("check_weights.py", "--net", tmp_path / "train.prototxt", "--weights", tiny_model.snapshot)
    assert done.returncode == 0, done.stderr


def test_pretrained_weights_may_lack_the_new_heads_and_have_others(check, changed):
    def as_published(net, layers):
        net.layer.remove(layers["fc_lesion"])
        layers["fc_location"].name = "fc1000"

    done = check(changed(as_published))
    assert done.returncode == 0
    assert "2 left at their initial values: fc_lesion, fc_location" in done.stdout
    assert "1 in the caffemodel only: fc1000" in done.stdout


def test_the_verdict_comes_first_and_long_lists_are_counted_unless_all_names_are_asked_for(check, changed):
    def unknown(net, layers):
        for name, layer in layers.items():
            layer.name = f"of_another_{name}"

    weights = changed(unknown)
    done = check(weights)
    assert done.returncode == 1
    verdict, *counts = done.stdout.splitlines()
    assert verdict.startswith(f"{weights}: DOES NOT FIT")
    assert counts[0] == "   0 filled"
    assert counts[1].startswith("  71 left at their initial values: conv1, ")
    assert counts[1].endswith(" and 66 more") and counts[2].endswith(" and 66 more")
    assert "scale5c_branch2c" not in done.stdout
    whole = check(weights, "--names").stdout
    assert "more" not in whole and "scale5c_branch2c" in whole and "of_another_scale5c_branch2c" in whole


def test_an_unfilled_trunk_layer_does_not_fit(check, changed):
    weights = changed(lambda net, layers: net.layer.remove(layers["res3a_branch2b"]))
    done = check(weights)
    assert done.returncode == 1
    assert "1 left at their initial values: res3a_branch2b" in done.stdout
    assert check(weights, "--new", "res3a_branch2b").returncode == 0


def test_a_shape_that_disagrees_is_named_with_both_shapes(check, changed):
    def transpose(net, layers):
        layers["conv1"].blobs[0].shape.dim[:] = [3, 16, 7, 7]

    done = check(changed(transpose))
    assert done.returncode == 1
    assert "conv1: blob 0 is 3 x 16 x 7 x 7 in the caffemodel, 16 x 3 x 7 x 7 in the net" in done.stdout


def test_a_missing_bias_is_a_number_of_blobs_that_disagrees(check, changed):
    def drop_bias(net, layers):
        del layers["conv1"].blobs[1]

    done = check(changed(drop_bias))
    assert done.returncode == 1
    assert "conv1: 1 blobs in the caffemodel, 2 in the net" in done.stdout


def test_values_that_are_not_numbers_are_found(check, changed):
    def poison(net, layers):
        layers["res5c_branch2a"].blobs[0].data[5] = float("nan")

    done = check(changed(poison))
    assert done.returncode == 1
    assert "res5c_branch2a: blob 0 has NaN or infinite values" in done.stdout


def test_batch_norm_without_statistics_is_found(check, changed):
    """A net that never trained has the factor 0: frozen, it would make every output NaN."""

    def forget(net, layers):
        layers["bn_conv1"].blobs[2].data[0] = 0

    done = check(changed(forget))
    assert done.returncode == 1
    assert "bn_conv1: its statistics were never set (factor 0)" in done.stdout


def test_a_new_layer_that_the_net_does_not_have_is_a_mistake(check, tiny_model):
    done = check(tiny_model.snapshot, "--new", "fc_lesoin")
    assert done.returncode == 1
    assert "has no layer fc_lesoin" in done.stderr


def test_too_few_values_for_a_shape_are_found(check, changed):
    def shorten(net, layers):
        del layers["conv1"].blobs[0].data[-1]

    done = check(changed(shorten))
    assert done.returncode == 1
    assert "conv1: blob 0 has 2351 values for 16 x 3 x 7 x 7" in done.stdout


def test_values_of_double_precision_are_read_too(check, changed):
    def store_as_double(net, layers):
        blob = layers["conv1"].blobs[0]
        blob.double_data.extend(blob.data)
        del blob.data[:]

    assert "71 filled" in check(changed(store_as_double)).stdout

    def poison(net, layers):
        store_as_double(net, layers)
        layers["conv1"].blobs[0].double_data[3] = float("inf")

    assert "conv1: blob 0 has NaN or infinite values" in check(changed(poison)).stdout


def test_older_caffemodels_are_read_too(tiny_model, tmp_path):
    """Before `layer` and BlobShape there were `layers` and four dimensions; BVLC's AlexNet is such a file."""
    old = caffe_messages().NetParameter()
    for layer in read_caffemodel(tiny_model.snapshot).layer:
        entry = old.layers.add(name=layer.name)
        for blob in layer.blobs:
            dims = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
            entry.blobs.add(num=dims[0], channels=dims[1], height=dims[2], width=dims[3], data=blob.data)
    path = tmp_path / "old.caffemodel"
    path.write_bytes(old.SerializeToString())
    report = compare_weights(net_shapes(tiny_model.deploy), path)
    assert len(report.filled) == 71
    assert not report.initial + report.unused + report.disagreeing


@pytest.mark.parametrize("kept", [0, 1, 1000, 20000])
def test_a_caffemodel_cut_short_is_one_line(check, tiny_model, tmp_path, kept):
    cut = tmp_path / "cut.caffemodel"
    cut.write_bytes(tiny_model.snapshot.read_bytes()[:kept])
    done = check(cut)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cut.caffemodel" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("layer { nonsense", "not a net prototxt"),
        ('layer { name: "a" type: "Nonsense" top: "a" }', "layer 'a' is of type Nonsense"),
        ('layer { name: "a" type: "ReLU" bottom: "b" top: "a" }', "Unknown bottom blob"),
    ],
)
def test_a_net_that_caffe_cannot_build_is_one_line(tool, tiny_model, tmp_path, text, said):
    net = tmp_path / "net.prototxt"
    if text is not None:
        net.write_text(text)
    done = tool("check_weights.py", "--net", net, "--weights", tiny_model.snapshot)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_files_of_the_working_folder_do_not_stand_in_for_modules(tool, tiny_model, tmp_path):
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe/__init__.py").write_text("")
    (tmp_path / "tempfile.py").write_text("raise SystemExit('shadowed')")
    done = tool("check_weights.py", "--net", tiny_model.deploy, "--weights", tiny_model.snapshot, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
