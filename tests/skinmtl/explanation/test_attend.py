"""tools/attend.py: overlays, maps and what made them; one line where a net or an image is at fault."""

from __future__ import annotations

import json
from functools import partial

import cv2
import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.engine import Engine
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.attention_net import AttentionNet
from skinmtl.explanation.attention_tasks import chosen, net_names
from skinmtl.explanation.attention_ways import Ways
from skinmtl.figures.overlay import overlay
from skinmtl.images import image_file
from skinmtl.scores.forward import Protocol

MEAN = np.array([103.0626, 115.9029, 123.1516])
NO_MEAN = Protocol(32, (0.0, 0.0, 0.0), 10, Engine(), 1)
BGR = (60, 120, 200)
LABELS = {"lesion": ["crust", "nodule", "scar"], "location": ["back", "face", "hands", "scalp"]}  # of the small set


@pytest.fixture(scope="module")
def attend(run_on_test_fold):
    return partial(run_on_test_fold, "attend.py", folds=None, fold=None, subset=None)


@pytest.mark.caffe
def test_the_folder_has_overlays_maps_of_the_true_labels_and_what_made_them(attend, tiny_model, tmp_path):
    fold = ("--folds", tiny_model.data.folds, "--fold", 0, "--subset", "test")
    done = attend(tmp_path / "out", *fold, "--image", "6.jpg", "--image", "2.jpg", "--over", "crops")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/out: attention on 2 images\n"), done.stderr
    file = AttentionFile(tmp_path / "out" / "attention.npz")
    assert file.images == ["2.jpg", "6.jpg"]  # the manifest's order
    assert file.read(0, "lesion").labels == ("crust", "nodule")
    assert file.read(1, "lesion").labels == ("crust", "nodule", "scar")
    assert file.read(1, "location").labels == ("hands",)
    net = AttentionNet(tiny_model.deploy, tiny_model.snapshot, Protocol(72, tuple(MEAN), 10, Engine(), 1))
    for row, name in enumerate(file.images):
        pixels = image_file.load((tiny_model.data.images / name, 72)).pixels
        found = net.crop_maps(pixels)
        for head, names in LABELS.items():
            attention = file.read(row, head)
            of_labels = net.merged(found[head].maps, pixels.shape[:2])[[names.index(one) for one in attention.labels]]
            assert np.allclose(attention.maps, of_labels, atol=1e-5)
            assert np.allclose(attention.probabilities, found[head].probabilities, atol=1e-6)
            drawn = cv2.imread(str(tmp_path / "out" / f"{name}.{head}.png"))
            large = image_file.decode((tiny_model.data.images / name).read_bytes())
            assert np.array_equal(drawn, overlay(image_file.resize_short_side(large, 256), attention.shown))
    said = json.loads((tmp_path / "out" / "attention.json").read_text())
    assert [one["image"] for one in said["images"]] == file.images
    assert said["protocol"]["cells"] == {"first": 2, "step": 16}
    assert said["protocol"]["weights_sha256"] == file.protocol["weights_sha256"]
    assert said["arguments"]["image"] == ["6.jpg", "2.jpg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [
            ".made.json",
            "attention.npz",
            "attention.json",
            *(f"{n}.jpg.{head}.png" for n in (2, 6) for head in ("lesion", "location")),
        ]
    )


@pytest.mark.caffe
def test_predicted_labels_are_the_likeliest(attend, tmp_path):
    done = attend(tmp_path / "out", "--sample", 3, "--seed", 5, "--labels", "predicted")
    assert done.returncode == 0, done.stderr
    file = AttentionFile(tmp_path / "out" / "attention.npz")
    assert len(file.images) == 3
    for row in range(3):
        for head, names in LABELS.items():
            attention = file.read(row, head)
            assert attention.labels == (names[int(attention.probabilities.argmax())],)


@pytest.mark.caffe
def test_a_list_names_images_and_the_lesions_to_look_for_beside_the_true_ones(attend, refused, tiny_model, tmp_path):
    fold = ("--folds", tiny_model.data.folds, "--fold", 0, "--subset", "test")
    listed = tmp_path / "errors.csv"
    listed.write_text("image,lesion,rank\n6.jpg,scar,1\n2.jpg,scar,1\n2.jpg,crust,1\n2.jpg,scar,2\n")
    done = attend(tmp_path / "out", *fold, "--listed", listed, "--overlay", "none")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/out: attention on 2 images\n"), done.stderr
    file = AttentionFile(tmp_path / "out" / "attention.npz")
    assert [file.read(row, "lesion").labels for row in (0, 1)] == [("crust", "nodule", "scar")] * 2
    fold_1 = ("--folds", tiny_model.data.folds, "--fold", 1, "--subset", "test")
    other = attend(tmp_path / "none", *fold_1, "--listed", listed, "--overlay", "none")
    assert other.returncode == 0, other.stderr  # another fold has none of them: its file is whole, and empty
    assert AttentionFile(tmp_path / "none" / "attention.npz").images == []
    for text, said in (("2.jpg,wart", "'wart' is no lesion"), ("77.jpg,scar", "image '77.jpg' is not in")):
        listed.write_text(f"image,lesion\n{text}\n")
        refused(attend(tmp_path / "no", *fold, "--listed", listed), f"{listed}:2", said)
    assert attend(tmp_path / "no", "--listed", listed, "--labels", "predicted").returncode == 2


def test_a_sample_depends_on_its_seed_and_keeps_the_manifests_order(make_dataset):
    manifest = read_manifest(make_dataset(20).manifest)
    order = [row.image for row in manifest.rows]

    def sample(count, seed):
        return [row.image for row in chosen(manifest, (), count, seed).rows]

    assert sample(5, 1) == sample(5, 1) != sample(5, 2)
    assert len(set(sample(5, 1))) == 5
    assert sample(5, 1) == sorted(sample(5, 1), key=order.index)
    assert sample(20, 1) == sample(None, 1) == order
    with pytest.raises(InputError, match="20 images, 21 wanted"):
        sample(21, 1)
    with pytest.raises(InputError, match="no image 'other'"):
        chosen(manifest, ["other"], None, 1)


@pytest.mark.caffe
def test_a_file_without_labels_gets_the_likeliest_named_by_the_net(tool, known_net, tmp_path):
    """The net knows nothing of names at first: labels are indices. One image is smaller than a crop, one long."""
    (tmp_path / "net").mkdir()
    deploy = tmp_path / "net" / "deploy.prototxt"
    deploy.write_text(known_net.deploy.read_text())
    bright, dark = np.full((10, 12, 3), (250, 250, 0), np.uint8), np.zeros((30, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "bright.png"), bright)
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    command = ["--deploy", deploy, "--weights", known_net.weights, "--mean", 0, 0, 0, "--short-side", 32]
    queries = ["--query", tmp_path / "bright.png", "--query", tmp_path / "dark.png"]
    done = tool("attend.py", *command, *queries, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    file = AttentionFile(tmp_path / "a" / "attention.npz")
    assert file.images == [str(tmp_path / "bright.png"), str(tmp_path / "dark.png")]
    assert [file.read(row, "lesion").labels for row in (0, 1)] == [("0",), ("1",)]
    assert np.allclose(file.read(0, "lesion").maps, 250, atol=1e-3)
    assert file.read(1, "lesion").maps.shape == (1, 32, 213)
    assert (tmp_path / "a" / "bright.png.lesion.png").is_file()


def test_labels_json_names_what_the_net_says(tmp_path):
    names = {"lesion_names": ["blue", "not red"], "location_names": ["x", "y", "z"]}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    deploy = tmp_path / "deploy.prototxt"
    assert net_names({"lesion": 2, "location": 3}, deploy) == {"lesion": ["blue", "not red"], "location": list("xyz")}
    with pytest.raises(InputError, match="names 3 for the 2 outputs of location_prob"):
        net_names({"location": 2}, deploy)


@pytest.mark.caffe
def test_a_net_whose_heads_do_not_stand_on_an_average_is_refused(known_net, tmp_path):
    text, after = known_net.deploy.read_text(), "layer { name: 'after' type: 'Sigmoid' bottom: 'pool5' top: 'pool5' }"
    for name, wrong in {
        "no average": text.replace("layer { name: 'fc_lesion'", f"{after} layer {{ name: 'fc_lesion'"),
        "largest": text.replace("pool: AVE kernel_size: 4", "pool: MAX kernel_size: 4"),
    }.items():
        deploy = tmp_path / f"{name}.prototxt"
        deploy.write_text(wrong)
        with pytest.raises(InputError, match="cam needs heads on the average"):
            AttentionNet(deploy, known_net.weights, NO_MEAN, Ways("cam"))


@pytest.mark.caffe
def test_the_average_is_known_by_its_blob_whatever_its_layer_is_called(known_net, tmp_path):
    (tmp_path / "deploy.prototxt").write_text(known_net.deploy.read_text().replace("name: 'pool5'", "name: 'mean'"))
    net = AttentionNet(tmp_path / "deploy.prototxt", known_net.weights, NO_MEAN)
    assert (net.blobs, net.heads) == (("pool5", "res5c"), {"lesion": 2, "location": 3})


@pytest.mark.caffe
def test_a_net_with_one_head_has_the_attention_of_one(known_net, tmp_path):
    text = known_net.deploy.read_text()
    lines = [line for line in text.splitlines() if "location" not in line]
    (tmp_path / "deploy.prototxt").write_text("\n".join(lines))
    net = AttentionNet(tmp_path / "deploy.prototxt", known_net.weights, NO_MEAN)
    assert net.heads == {"lesion": 2}


@pytest.mark.caffe
def test_bad_input_is_one_line_and_leaves_nothing(attend, tiny_model, refused, tmp_path):
    out = tmp_path / "out"
    bad = tmp_path / "images"
    bad.mkdir()
    (bad / "0.jpg").write_bytes((tiny_model.data.images / "0.jpg").read_bytes()[:500])
    refused(attend(out, "--image", "0.jpg", images=bad), "0.jpg", "truncated")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
    out.mkdir()
    refused(attend(out, "--image", "0.jpg"), "exists already")
    assert not list(out.iterdir())


def test_wrong_flags_are_usage_errors(tool, tmp_path):
    command = ("attend.py", "--deploy", "d", "--weights", "w", "--out", tmp_path / "out")
    for flags in (
        (),
        ("--manifest", "m", "--query", "q", "--images", "i"),
        ("--query", "q", "--image", "a"),
    ):
        assert tool(*command, *flags).returncode == 2
