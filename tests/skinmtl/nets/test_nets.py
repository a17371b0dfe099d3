"""The nets: the published trunk, the paper's heads and losses, and files that never drift from their generator."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from papers_nets import layers, options

from caffe_files.prototxt import message_text, read_net
from skinmtl.nets.label_names import read_label_names
from skinmtl.nets.multi_task import make_net
from skinmtl.nets.net_record import read_net_record
from skinmtl.nets.trunks import TRUNKS

PUBLISHED = json.loads((ROOT / "tests/data/resnet50_layers.json").read_text())
HEADS = {"fc_lesion", "fc_location"}


@pytest.mark.caffe
def test_the_trunk_is_the_published_one_layer_for_layer(tmp_path):
    import caffe
    from google.protobuf import text_format

    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text(message_text(make_net(options(), "deploy")))
    net = caffe.Net(str(deploy), caffe.TEST)
    described = text_format.Parse(deploy.read_text(), caffe.proto.caffe_pb2.NetParameter())
    trunk = [layer for layer in described.layer if layer.name not in HEADS | {"data", "lesion_prob", "location_prob"}]
    published = [layer for layer in PUBLISHED if layer["name"] not in ("fc1000", "prob")]
    assert [layer.name for layer in trunk] == [layer["name"] for layer in published]
    for ours, theirs in zip(trunk, published):
        assert (ours.type, list(ours.bottom), list(ours.top)) == (theirs["type"], theirs["bottoms"], theirs["tops"])
        assert settings_of(ours, theirs["settings"]) == theirs["settings"], ours.name
        blobs = [list(blob.data.shape) for blob in net.params.get(ours.name, [])]
        assert blobs == theirs["blobs"], ours.name
        assert list(net.blobs[ours.top[0]].data.shape) == theirs["top_shape"], ours.name


def settings_of(layer, names):
    """The layer's values of the settings named, from whichever parameter message has them; nothing else may be set."""
    parameters = {
        "Convolution": layer.convolution_param,
        "BatchNorm": layer.batch_norm_param,
        "Scale": layer.scale_param,
        "Pooling": layer.pooling_param,
    }.get(layer.type)
    if parameters is None:
        assert not [field.name for field, _ in layer.ListFields() if field.name.endswith("_param")]
        return {}
    set_here = {field.name for field, _ in parameters.ListFields()} - {"weight_filler"}
    assert set_here <= set(names) | {"bias_term"}, layer.name
    values = {}
    for name in names:
        value = getattr(parameters, name)
        field = parameters.DESCRIPTOR.fields_by_name[name]
        if field.label == field.LABEL_REPEATED:
            value = value[0]
        values[name] = field.enum_type.values_by_number[value].name if field.enum_type else value
    return values


def test_conv1_alone_among_the_convolutions_has_a_bias():
    biased = [
        name
        for name, layer in layers("deploy").items()
        if layer.type == "Convolution" and layer.convolution_param.bias_term
    ]
    assert biased == ["conv1"]


def test_the_heads_are_siblings_that_learn_ten_and_twenty_times_as_fast():
    net = layers("train")
    for head, outputs in (("fc_lesion", 25), ("fc_location", 23)):
        assert list(net[head].bottom) == ["pool5"]
        assert [param.lr_mult for param in net[head].param] == [10, 20]
        assert net[head].inner_product_param.num_output == outputs
    assert not [name for name, layer in net.items() if layer.param and name not in HEADS]


def test_training_and_test_nets_differ_in_data_and_accuracy_only():
    train, test = layers("train"), layers("test")
    data = {"data", "lesion_label", "location_label"}
    assert set(test) - set(train) == {"location_top1", "location_top3"}
    assert set(train) <= set(test)
    assert all(train[name] == test[name] for name in set(train) - data)
    assert train["data"].transform_param.mirror
    assert not test["data"].transform_param.mirror
    assert [test[name].data_param.source for name in sorted(data)] == [
        "data/test/image_lmdb",
        "data/test/lesion_lmdb",
        "data/test/location_lmdb",
    ]


def test_label_layers_have_no_transform_and_the_images_lose_the_published_mean():
    net = layers("train")
    assert np.allclose(net["data"].transform_param.mean_value, TRUNKS["resnet50"].mean)
    assert net["data"].transform_param.force_color
    assert not net["lesion_label"].HasField("transform_param")
    assert not net["location_label"].HasField("transform_param")


def test_batch_norm_is_frozen_or_left_to_caffe_which_uses_the_batch_in_training():
    frozen = [layer for layer in layers("train").values() if layer.type == "BatchNorm"]
    assert len(frozen) == 53
    assert all(layer.batch_norm_param.use_global_stats for layer in frozen)
    for split in ("train", "test", "deploy"):
        for layer in layers(split, frozen_batch_norm=False).values():
            assert not layer.batch_norm_param.HasField("use_global_stats")


@pytest.mark.parametrize("crop", [64, 65, 96, 224])
@pytest.mark.caffe
def test_pool5_is_one_place_whatever_the_crop(crop, tmp_path):
    import caffe

    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text(message_text(make_net(options(trunk="tiny", crop=crop), "deploy")))
    net = caffe.Net(str(deploy), caffe.TEST)
    assert net.blobs["pool5"].data.shape[2:] == (1, 1)
    assert net.blobs["res5c"].data.shape[2:] == 2 * (net.blobs["res5c"].data.shape[2],)
    assert net.blobs["lesion_prob"].data.shape == (1, 25)


def test_fewer_than_three_locations_have_no_top_three():
    assert "location_top3" not in layers("test", locations=2)


@pytest.mark.caffe
@pytest.mark.parametrize(("model", "other"), [("resnet50_lesion", "location"), ("resnet50_location", "lesion")])
def test_a_single_task_net_has_nothing_of_the_other_head(model, other, tiny_model, tmp_path):
    import caffe

    data = {"train_data": str(tiny_model.data.train), "test_data": str(tiny_model.data.test)}
    settings = options(model=model, trunk="tiny", crop=64, lesions=3, locations=4, test_batch_size=8, **data)
    for split, phase in (("train", caffe.TRAIN), ("test", caffe.TEST), ("deploy", caffe.TEST)):
        described = make_net(settings, split)
        assert described.name == model.replace("resnet50", "tiny")
        (tmp_path / "net.prototxt").write_text(message_text(described))
        net = caffe.Net(str(tmp_path / "net.prototxt"), phase)
        net.forward()
        assert not [name for name in [*net.blobs, *net.params] if other in name]
        assert len(net.params) == len(caffe.Net(str(tiny_model.deploy), caffe.TEST).params) - 1


TINY = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64)


def test_label_counts_and_names_and_the_test_batch_come_from_the_data(tool, small_set, tmp_path):
    data = ["--train-data", small_set.train, "--test-data", small_set.test]
    made = tool("make_prototxt.py", *TINY, *data, "--out", tmp_path / "net")
    assert made.returncode == 0, made.stderr
    assert "3 lesions, 4 locations" in made.stdout
    assert "test_iter: 1\n" in made.stdout  # eight test images are one batch
    known = read_net_record(tmp_path / "net")
    assert known.names == {
        "lesion_names": ["crust", "nodule", "scar"],
        "location_names": ["back", "face", "hands", "scalp"],
    }
    assert (known.crop, known.short_side, known.scales) == (64, 72, (72, 72))
    assert (known.features_blob, known.maps_blob) == ("pool5", "res5c")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--lesions", 5, "--locations", 4], "has 3 lesion_names, the net is to have 5"),
        (["--crop", 224], "72 pixels on the shorter side"),
        (["--test-batch-size", 5], "8 records are no multiple of the test batch 5"),
        (["--test-data", "nowhere"], "nowhere: not both there to count labels"),
        (["--lesions", 3, "--locations", 4, "--train-data", "a", "--test-data", "b"], "give --test-batch-size"),
        (["--crop", 2], "too small for the net"),
    ],
)
def test_data_that_does_not_fit_the_net_is_one_line(tool, small_set, tmp_path, changes, said):
    data = ["--train-data", small_set.train, "--test-data", small_set.test]
    done = tool("make_prototxt.py", *TINY, *data, *changes, "--out", tmp_path / "no")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "no").exists()


def test_data_sets_of_other_label_names_are_refused(tool, small_set, tmp_path):
    """As many names, but not the same: every test would hold the net's outputs against other labels."""
    shutil.copytree(str(small_set.test), str(tmp_path / "test"))
    summary = (tmp_path / "test/dataset.json").read_text().replace('"nodule"', '"bump"')
    (tmp_path / "test/dataset.json").write_text(summary)
    data = ["--train-data", small_set.train, "--test-data", tmp_path / "test"]
    done = tool("make_prototxt.py", *TINY, *data, "--out", tmp_path / "no")
    assert done.returncode == 1
    assert "number 2 is 'bump' where the training data has 'nodule'" in done.stderr


def test_without_data_the_label_counts_must_be_given(tool, tmp_path):
    data = ["--train-data", tmp_path / "a", "--test-data", tmp_path / "b"]
    done = tool("make_prototxt.py", *TINY, *data, "--out", tmp_path / "net")
    assert done.returncode == 1
    assert "not both there to count labels; give the counts" in done.stderr
    assert tool("make_prototxt.py", *TINY, *data, "--lesions", 3, "--out", tmp_path / "net").returncode == 2


def test_batch_norm_is_frozen_where_there_are_pretrained_weights_and_of_the_batch_in_the_tiny_trunk(tool, tmp_path):
    data = ["--train-data", "a", "--test-data", "b", "--lesions", 3, "--locations", 4, "--test-batch-size", 1]
    nets = {"resnet50": ("resnet50", 224), "tiny": ("tiny", 64), "frozen": ("tiny", 64), "batch": ("resnet50", 224)}
    uses_global = {}
    for out, (trunk, crop) in nets.items():
        given = ["--batch-norm", out] if out in ("frozen", "batch") else []
        words = ["--model", "resnet50_mtl", "--trunk", trunk, "--crop", crop, *data, *given, "--out", tmp_path / out]
        assert tool("make_prototxt.py", *words).returncode == 0
        train = tmp_path / out / "train.prototxt"
        normal = next(layer for layer in read_net(train).layer if layer.type == "BatchNorm")
        uses_global[out] = normal.batch_norm_param.use_global_stats
        assert ("--batch-norm" in train.read_text()) == bool(given)
    assert uses_global == {"resnet50": True, "tiny": False, "frozen": True, "batch": False}


def test_a_mistyped_flag_is_a_usage_error_even_where_it_begins_like_one(tool, tmp_path):
    assert tool("make_prototxt.py", *TINY, "--train-data", "a", "--test-data", "b", "--ou", tmp_path).returncode == 2


def test_check_names_the_files_that_differ(tool, tmp_path):
    counts = ["--lesions", 2, "--locations", 2, "--test-batch-size", 1]
    arguments = ["--model", "resnet50_mtl", "--train-data", "a", "--test-data", "b", *counts]
    out = tmp_path / "net"
    assert tool("make_prototxt.py", *arguments, "--out", out).returncode == 0
    assert tool("make_prototxt.py", *arguments, "--out", out, "--check").returncode == 0
    with open(str(out / "test.prototxt"), "a") as file:
        file.write("# edited\n")
    done = tool("make_prototxt.py", *arguments, "--out", out, "--check")
    assert done.returncode == 1
    assert "test.prototxt" in done.stderr
    assert "train.prototxt" not in done.stderr
    assert Path(out / "test.prototxt").read_text().endswith("# edited\n")


def test_the_first_line_makes_the_files_again_without_the_data(tool, small_set, tmp_path):
    for subset in ("train", "test"):
        shutil.copytree(str(getattr(small_set, subset)), str(tmp_path / "data" / subset))
    data = ["--train-data", "data/train", "--test-data", "data/test"]
    assert tool("make_prototxt.py", *TINY, *data, "--out", "net", cwd=tmp_path).returncode == 0
    shutil.rmtree(str(tmp_path / "data"))
    command = re.match(r"# made by: tools/(.*)", (tmp_path / "net/test.prototxt").read_text()).group(1)
    done = tool(*shlex.split(command), "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_names_of_an_older_net_count_until_it_is_made_again(tool, tmp_path):
    counts = ["--lesions", 2, "--locations", 2, "--test-batch-size", 1, "--train-data", "a", "--test-data", "b"]
    older = tmp_path / "net/labels.json"
    older.parent.mkdir()
    older.write_text('{"lesion_names": ["a", "b"], "location_names": ["c", "d"]}')
    assert read_label_names(older.parent) == {"lesion_names": ["a", "b"], "location_names": ["c", "d"]}
    assert tool("make_prototxt.py", *TINY, *counts, "--out", older.parent).returncode == 0
    assert not older.exists()
    assert read_label_names(older.parent) == {}


def test_a_one_head_net_knows_the_names_of_its_head_only(tool, small_set, tmp_path):
    data = ["--train-data", small_set.train, "--test-data", small_set.test]
    single = ["--model", "resnet50_lesion", *TINY[2:]]
    assert tool("make_prototxt.py", *single, *data, "--out", tmp_path / "net").returncode == 0
    record = json.loads((tmp_path / "net/net.json").read_text())
    assert (record["outputs"], record["lesion_names"]) == ({"lesion": 3}, ["crust", "nodule", "scar"])
    assert "location_names" not in record
