"""Features: pool5 as pycaffe gives it, with the labels; one line where a net has none, or a file is damaged."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest
from made_photos import read_small
from published_nets import write_net, write_weights

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.explanation.features_file import Features, read_features, write_features

MEAN = np.array([103.0626, 115.9029, 123.1516], np.float32)


@pytest.fixture(scope="module")
def extract(run_on_test_fold):
    return partial(run_on_test_fold, "extract_features.py")


@pytest.mark.caffe
@pytest.mark.parametrize("crops", [1, 10])
def test_features_are_pool5_of_the_centre_crop_or_its_mean_over_the_ten(extract, tiny_model, tmp_path, crops):
    import caffe
    from caffe.io import oversample

    done = extract(tmp_path / "f.npz", "--crops", crops, "--batch-size", 3)
    assert done.returncode == 0, done.stderr
    assert "128 features of each of 8 images" in done.stdout
    features = read_features(tmp_path / "f.npz")
    net = caffe.Net(str(tiny_model.deploy), str(tiny_model.snapshot), caffe.TEST)
    for name, row in zip(features.image, features.features):
        resized = read_small(tiny_model.data.images / name, 72)
        expected = []
        for crop in oversample([resized.astype(np.float32)], (64, 64))[[4] if crops == 1 else slice(None)]:
            net.blobs["data"].data[0] = (crop - MEAN).transpose(2, 0, 1)
            net.forward()
            expected.append(net.blobs["pool5"].data[0, :, 0, 0].copy())
        assert np.allclose(row, np.mean(expected, axis=0), atol=1e-5)
        assert row.std() > 0.01


@pytest.mark.caffe
def test_the_file_has_the_labels_and_how_it_was_made(extract, tiny_model, tmp_path):
    assert extract(tmp_path / "f.npz").returncode == 0
    features, manifest = read_features(tmp_path / "f.npz"), read_manifest(tiny_model.data.manifest)
    assert features.image == [f"{number}.jpg" for number in range(8)]
    assert np.array_equal(features.lesion_labels, manifest.lesion_labels()[:8])
    assert np.array_equal(features.location_labels, manifest.location_labels()[:8])
    assert features.lesion_names == ["crust", "nodule", "scar"]
    assert features.location_names == ["back", "face", "hands", "scalp"]
    made = features.protocol
    assert (made["blob"], made["crops"], made["crop"], made["short_side"]) == ("pool5", 1, 64, 72)
    assert len(made["weights_sha256"]) == len(made["net_sha256"]) == 64


@pytest.mark.caffe
def test_a_stopped_extraction_goes_on(extract, tiny_model, tmp_path):
    """An image that turns bad stops the first run; what was done before it is not done again."""
    (tmp_path / "images").mkdir()
    for number in range(8):
        data = (tiny_model.data.images / f"{number}.jpg").read_bytes()
        (tmp_path / "images" / f"{number}.jpg").write_bytes(data[:100] if number == 5 else data)
    stopped = extract(tmp_path / "f.npz", "--batch-size", 1, images=tmp_path / "images")
    assert stopped.returncode == 1
    assert "5.jpg" in stopped.stderr
    (tmp_path / "images" / "5.jpg").write_bytes((tiny_model.data.images / "5.jpg").read_bytes())
    done = extract(tmp_path / "f.npz", "--batch-size", 4, images=tmp_path / "images")
    assert "5 images were done before: 3 are left" in done.stdout + done.stderr
    assert extract(tmp_path / "whole.npz").returncode == 0
    again, whole = read_features(tmp_path / "f.npz"), read_features(tmp_path / "whole.npz")
    assert np.allclose(again.features, whole.features, atol=1e-6)
    assert sorted(path.name for path in tmp_path.glob("*f.npz*")) == ["f.npz"]


@pytest.mark.caffe
def test_features_may_be_a_fully_connected_layers(extract, small_set, tool, tmp_path, refused):
    """Of a published VGG as trunk: net.json names them, and beside a net without it the heads do."""
    deploy = write_net("vgg", tmp_path)
    counts = ("--lesions", 3, "--locations", 4, "--test-batch-size", 1)
    data = ("--train-data", small_set.train, "--test-data", small_set.test)
    trunk = ("--trunk-net", deploy, "--features", "fc7")
    done = tool("make_prototxt.py", "--model", "resnet50_mtl", *trunk, *counts, *data, "--out", tmp_path / "net")
    assert done.returncode == 0, done.stderr
    flags = {"weights": write_weights(tmp_path / "net/deploy.prototxt", tmp_path / "w.caffemodel")}
    assert extract(tmp_path / "f.npz", deploy=tmp_path / "net/deploy.prototxt", **flags).returncode == 0
    found = read_features(tmp_path / "f.npz")
    assert (found.protocol["blob"], found.features.shape) == ("fc7", (8, 20))
    shutil.copyfile(str(tmp_path / "net/deploy.prototxt"), str(tmp_path / "deploy.prototxt"))
    mean = ("--mean", 104, 117, 123)
    assert extract(tmp_path / "g.npz", *mean, deploy=tmp_path / "deploy.prototxt", **flags).returncode == 0
    assert np.array_equal(read_features(tmp_path / "g.npz").features, found.features)
    images = ("--query", sorted(small_set.images.iterdir())[0], "--short-side", 72)
    flags = ("--deploy", tmp_path / "net/deploy.prototxt", "--weights", flags["weights"])
    done = tool("attend.py", *flags, *images, "--method", "cam", "--out", tmp_path / "attention")
    refused(done, "fc7")


@pytest.mark.caffe
def test_a_net_without_a_pool5_of_one_value_a_channel_is_refused(extract, tiny_model, tmp_path, refused):
    """Where neither net.json nor heads say what the features are, they are pool5."""
    (tmp_path / "deploy.prototxt").write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 64 dim: 64 } } }\n'
        'layer { name: "pool5" type: "Pooling" bottom: "data" top: "pool5" '
        "pooling_param { kernel_size: 32 stride: 32 } }"
    )
    flags = ("--mean", 104, 117, 123)
    done = extract(tmp_path / "f.npz", *flags, deploy=tmp_path / "deploy.prototxt")
    refused(done, "deploy.prototxt: its blob pool5 is 3 x 2 x 2", "no vector")
    text = (tmp_path / "deploy.prototxt").read_text().replace("pool5", "pool")
    (tmp_path / "deploy.prototxt").write_text(text)
    refused(extract(tmp_path / "f.npz", *flags, deploy=tmp_path / "deploy.prototxt"), "has no blob pool5")
    done = extract(tmp_path / "f.npz", deploy=tiny_model.folder / "train.prototxt")
    refused(done, "train.prototxt: reads its images from an LMDB; give a deploy.prototxt")
    assert not list(tmp_path.glob("*.npz"))


def three_images(**changes):
    fields = {
        "image": ["a.jpg", "b.jpg", "ü.jpg"],
        "features": np.arange(12, dtype=np.float32).reshape(3, 4),
        "lesion_labels": np.array([[1, 0], [0, 1], [1, 1]], np.uint8),
        "lesion_names": ["crust", "scar"],
        "location_labels": np.array([0, 1, 1]),
        "location_names": ["arm", "leg"],
        "protocol": {"blob": "pool5"},
    }
    return Features(**{**fields, **changes})


def test_a_file_reads_as_it_was_written_and_the_same_features_give_the_same_bytes(tmp_path):
    write_features(tmp_path / "a.npz", three_images())
    write_features(tmp_path / "b.npz", three_images())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_features(tmp_path / "a.npz")
    for name, value in vars(three_images()).items():
        assert np.array_equal(getattr(again, name), value), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": np.zeros((2, 4), np.float32)}, r"features is \(2, 4\).*\(3, 4\)"),
        ({"features": np.zeros((3, 0), np.float32)}, r"features is \(3, 0\)"),
        ({"features": np.full((3, 4), np.nan, np.float32)}, r"features, row 0, image 'a.jpg': nan"),
        ({"features": np.full((3, 4), 1e30, np.float32)}, r"image 'a.jpg': 1e\+30"),
        ({"image": ["a.jpg", "b.jpg", "a.jpg"]}, "image: 'a.jpg' is there twice"),
        ({"lesion_labels": np.array([[1, 0], [0, 2], [1, 1]])}, "lesion_labels, row 1, image 'b.jpg': 2"),
        ({"lesion_labels": np.array([1, 0, 1])}, r"lesion_labels is \(3,\)"),
        ({"location_labels": np.array([0, 1, 2])}, "location_labels, row 2, image 'ü.jpg': 2"),
        ({"location_names": []}, "location_names"),
        ({"protocol": []}, "protocol"),
    ],
)
def test_what_cannot_be_is_neither_written_nor_read(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        write_features(tmp_path / "f.npz", three_images(**changes))
    assert not list(tmp_path.iterdir())
    arrays = {name: np.asarray(value) for name, value in vars(three_images(**changes)).items()}
    arrays["protocol"] = np.asarray(json.dumps(three_images(**changes).protocol))
    np.savez(str(tmp_path / "f.npz"), **arrays)
    with pytest.raises(InputError, match=said):
        read_features(tmp_path / "f.npz")


def test_a_file_that_is_none_is_said_in_one_line(tmp_path):
    write_features(tmp_path / "whole.npz", three_images())
    whole = (tmp_path / "whole.npz").read_bytes()
    for name, data in (("cut.npz", whole[: len(whole) // 2]), ("empty.npz", b""), ("text.npz", b"image,lesions")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name}: not a whole .npz file") as error:
            read_features(tmp_path / name)
        assert "\n" not in str(error.value)
    for place in (tmp_path, tmp_path / "none.npz"):
        with pytest.raises(InputError, match="cannot be read"):
            read_features(place)
    np.savez(str(tmp_path / "scores.npz"), image=np.array(["a.jpg"]))
    with pytest.raises(InputError, match="array features is missing"):
        read_features(tmp_path / "scores.npz")
