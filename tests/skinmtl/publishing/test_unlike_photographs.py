"""A novelty in the model folder: put there by export.py, told by the card; predict.py names nothing beyond it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_model import ENGINE, NAMES, SHORT_SIDE, request, write_small_net

from caffe_files.errors import InputError
from skinmtl.data.folds import select
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.snapshot import checked_snapshot, mean_of
from skinmtl.explanation.extracting import extract
from skinmtl.explanation.features_file import read_features, write_features
from skinmtl.explanation.novelty import kth_distances, unit_length
from skinmtl.explanation.novelty_file import read_novelty
from skinmtl.explanation.novelty_making import Wish, make_novelty
from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.novelties import NOVELTY, chosen_novelty
from skinmtl.publishing.photographs import gather
from skinmtl.publishing.predicting import Predictor, predict
from skinmtl.scores.forward import Protocol

pytest_plugins = ["made_model_fixtures"]
pytestmark = pytest.mark.caffe


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """40 training, 40 validation and 5 test images of rosy skin, two a patient, and .odd ones: blue, black."""
    folder = tmp_path_factory.mktemp("skin")
    (folder / "images").mkdir()
    random, lines, folds = np.random.RandomState(1), ["image,lesions,location,group"], ["image,fold"]
    for number in range(85):
        skin = np.array([120, 150, 210]) + random.randint(-25, 25, (6, 6, 3))
        cv2.imwrite(str(folder / "images" / f"{number}.png"), cv2.resize(skin.astype(np.uint8), (50, 44)))
        lines.append(f"{number}.png,naevus,arm,{number // 2}")
        folds.append(f"{number}.png,{0 if number < 40 else 1 if number < 80 else 2}")
    for name, colour in (("blue", (250, 60, 20)), ("black", (0, 0, 0))):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((44, 50, 3), colour, np.uint8))
    of_labels = ((f"{head}s.txt", names) for head, names in NAMES.items())
    for name, rows in (("m.csv", lines), ("f.csv", folds), *of_labels):
        (folder / name).write_text("\n".join([*rows, ""]))
    return SimpleNamespace(
        folder=folder,
        manifest=read_manifest(folder / "m.csv"),
        images=folder / "images",
        new=[str(folder / "images" / f"{number}.png") for number in range(80, 85)],
        odd=[str(folder / f"{name}.png") for name in ("blue", "black")],
    )


def features_of(parts, net, out, subset, crops):
    """A features file of the training or validation images; fold 2 is the test fold, fold 1 the validation's."""
    manifest = select(parts.manifest, parts.folder / "f.csv", 2, subset, 0.0, 1)
    protocol = Protocol(SHORT_SIDE, mean_of(net.deploy), 10, ENGINE, 1, crops)
    extract(net.deploy, net.weights, manifest, parts.images, protocol, out, {"subset": subset})
    return out


def novelty_of(parts, folder, crops):
    """The small net, its features of so many crops, and the novelty of them."""
    net = write_small_net(folder / "net")
    files = {s: features_of(parts, net, folder / f"{s}.npz", s, crops) for s in ("train", "validation")}
    wish = Wish(files["train"], files["validation"], parts.manifest, 3, 0.9, 30, 1)
    make_novelty(wish, folder / "n.npz", {"a path": folder})
    return SimpleNamespace(net=net, files=files, novelty=folder / "n.npz", folder=folder)


@pytest.fixture(scope="module")
def made(parts, tmp_path_factory):
    return novelty_of(parts, tmp_path_factory.mktemp("novelty"), 10)


@pytest.fixture(scope="module")
def known(made, tmp_path_factory):
    """The model folder that has it, read."""
    folder = tmp_path_factory.mktemp("known") / "model"
    export(asked(made.net, made.novelty), folder, {})
    return read_model_folder(folder)


@pytest.fixture(scope="module")
def snapshot(made):
    return checked_snapshot(made.net.deploy, made.net.weights, ENGINE)


def asked(net, novelty, **changes):
    return replace(request(net), **{"novelty": novelty, "short_side": SHORT_SIDE, **changes})


def told(model, images, tmp_path=None, crops=10, names_unlike=False):
    protocol = Protocol(model.short_side, model.mean, 4, ENGINE, 1, crops)
    predictor = Predictor(model, protocol, tmp_path is not None, names_unlike)
    return list(predict(predictor, gather(images, None)[0], tmp_path and tmp_path / "overlays", {}))


def check_distances(parts, made, model, crops):
    """The validation images, sent through predict.py, are as far as the file of features says."""
    validation = read_features(made.files["validation"])
    novelty = read_novelty(made.novelty)
    images = [str(parts.images / name) for name in validation.image[:6]]
    found = [one.likeness.distance for one in told(model, images, crops=crops)]
    none = np.full(len(novelty.reference), -1)
    wanted = kth_distances(novelty.reference, none, unit_length(validation.features[:6]), np.arange(6), 3)
    assert np.allclose(found, wanted, atol=1e-5) and np.ptp(found) > 1e-3


def test_the_distance_is_that_of_the_files_features(parts, made, known):
    check_distances(parts, made, known, 10)


def test_features_of_the_centre_alone_do_for_one_crop_and_for_ten(parts, tmp_path):
    made = novelty_of(parts, tmp_path, 1)
    export(asked(made.net, made.novelty), tmp_path / "model", {})
    model = read_model_folder(tmp_path / "model")
    for crops in (1, 10):
        check_distances(parts, made, model, crops)


def test_nothing_is_named_in_what_is_unlike_with_and_without_overlays(parts, known, tmp_path):
    for overlays in (None, tmp_path):
        found = told(known, [*parts.new, *parts.odd], overlays)
        assert [one.named for one in found[:5]].count(True) >= 4 and not any(one.named for one in found[5:])
        assert all(one.likeness.unlike != one.named for one in found)
        assert all(bool(one.overlays) == (one.named and overlays is not None) for one in found)
        assert all(len(one.probabilities["lesion"]) == 3 for one in found), "the probabilities are there all the same"
    assert [each["image"] for each in json.loads((tmp_path / "overlays" / "attention.json").read_text())["images"]] == [
        one.item.name for one in found if one.named
    ]
    assert all(one.named for one in told(known, parts.odd, names_unlike=True))


def test_predict_says_it_in_words_and_in_json(tool, parts, known, tmp_path):
    words = ("--model-folder", known.path, "--workers", 1, "--threshold", 0, *parts.odd, parts.new[0])
    done = tool("predict.py", *words, "--json-lines", tmp_path / "p.jsonl")
    novelty = known.novelty
    assert done.returncode == 0 and done.stderr.splitlines() == [
        f"predict.py: {known.path}: names nothing in photographs that are further than {novelty.threshold:.4g} from "
        f"its training images, chosen on 40 validation images, of which it refuses {novelty.refused}",
        "predict.py: nothing is named in 2 of 3 photographs: --name-unlike names what is seen in them all the same",
    ]
    blue, line, black, _, new, *rest = done.stdout.splitlines()
    assert (blue, black, new) == (*parts.odd, parts.new[0])
    assert line.startswith("  novelty   ") and line.endswith(", so nothing is named") and "unlike" in line
    assert rest[-1].startswith("  novelty   ") and "within" in rest[-1] and rest[0].startswith("  lesion")
    lines = list(map(json.loads, (tmp_path / "p.jsonl").read_text().splitlines()))
    for one, likeness in zip(lines, (each.likeness for each in told(known, [*parts.odd, parts.new[0]]))):
        said = one["novelty"]
        assert said["unlike"] == likeness.unlike and said["named"] != likeness.unlike
        assert (said["distance"], said["threshold"]) == pytest.approx((likeness.distance, likeness.threshold), abs=1e-5)
        assert said["percentile_of_training"] == pytest.approx(100 * likeness.above_training, abs=1e-4)
        assert said["spread_over_crops"] == pytest.approx(likeness.spread, abs=1e-5)
        assert (len(one["lesions"]), len(one["locations"])) == ((0, 0) if likeness.unlike else (3, 3))
        assert len(one["probabilities"]["lesion"]) == 3
        assert one["model"]["novelty"] == novelty.words()
    all_named = tool("predict.py", *words, "--name-unlike")
    assert all_named.stdout.count("  lesion ") == 3 and "nothing is named" not in all_named.stdout
    assert "marks photographs that are further" in all_named.stderr


def test_what_it_cannot_tell_it_says_once(tool, parts, known):
    (line,) = tool("predict.py", "--model-folder", known.path, "--crops", 1, *parts.odd).stderr.splitlines()
    cannot = "cannot tell photographs that are unlike its training images: "
    assert line == f"predict.py: {known.path}: {cannot}the features of its training images are of 10 crops"


def test_the_folder_has_no_names_of_images_and_its_card_tells_the_threshold(known, made):
    novelty = known.novelty
    with np.load(str(known.path / NOVELTY)) as file:
        assert set(file) == {"features", "training", "validation", "record"}
        record = file["record"].item()
    assert "arguments" not in record and ".png" not in record and str(made.folder) not in record
    card = (known.path / "README.md").read_text()
    assert f"further than {novelty.threshold:.4g} from the training images" in card
    assert f"it refuses {novelty.refused} of these ({100 * novelty.refused / 40:.1f} %)" in " ".join(card.split())
    assert "features of those 30 training images, without their names" in card and "3rd nearest of 30" in card
    data = bytearray((known.path / NOVELTY).read_bytes())
    data[-1] ^= 1
    changed = known.path.with_name("changed")
    export(asked(made.net, made.novelty), changed, {})
    (changed / NOVELTY).write_bytes(data)
    with pytest.raises(InputError, match=r"novelty\.npz: its sha256 is not the one in model\.json"):
        read_model_folder(changed)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weights_sha256": "b" * 64}, "of another net, or shown otherwise: here weights_sha256 is"),
        ({"short_side": 50}, "here short_side is 40, where the training images have 50"),
        ({"resizing": "another"}, "here resizing is bilinear"),
        ({"arguments": {"subset": "test"}}, "its threshold was chosen on the test images"),
    ],
)
def test_a_novelty_of_something_else_is_refused(made, known, parts, snapshot, tmp_path, change, words):
    for part, path in made.files.items():
        features = read_features(path)
        write_features(tmp_path / f"{part}.npz", replace(features, protocol={**features.protocol, **change}))
    wish = Wish(tmp_path / "train.npz", tmp_path / "validation.npz", parts.manifest, 3, 0.9, 30, 1)
    make_novelty(wish, tmp_path / "n.npz", {})
    with pytest.raises(InputError, match=words):
        chosen_novelty(tmp_path / "n.npz", snapshot, {"short_side": known.short_side, "mean": list(known.mean)})
