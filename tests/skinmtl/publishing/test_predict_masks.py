"""predict.py with a model that draws lesions: the answers of score.py, in words, as JSON and as pictures."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from dead_weights import kill_proposals
from made_masks_model import MaskModel
from made_model import ENGINE, request

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.figures.outlines import ANSWER, THIN, TRUTH, Drawn, outlined
from skinmtl.nets.dead_proposals import warning
from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import RECORD, read_model_folder
from skinmtl.scores.forward import Protocol
from skinmtl.scores.region_scoring import Places, score_regions
from skinmtl.training.trained_net import TrainedNet

pytest_plugins = ["made_masks_fixtures", "made_model_fixtures"]


@pytest.fixture(scope="module")
def folder(mask_model, tmp_path_factory):
    """The model folder of the small mask net."""
    out = tmp_path_factory.mktemp("models") / "masks"
    told = export(request(mask_model, licence="CC0", short_side=None), out, {})
    assert told[0] == f"{out}: tiny_mask_rcnn, class and box and mask, 2 classes, 2 lesions"
    return out


@pytest.fixture(scope="module")
def scores(mask_model, moles, tmp_path_factory):
    out = tmp_path_factory.mktemp("scores") / "s.npz"
    protocol = Protocol(0, (103.0626, 115.9029, 123.1516), 1, ENGINE, 1, 1)
    places = Places(moles.folder, None, out.with_name("masks"))
    scores = score_regions(
        mask_model.deploy, mask_model.weights, read_manifest(moles.manifest), places, protocol, out, {}
    )
    return scores, out.with_name("masks")


def run(tool, folder, *words):
    return tool("predict.py", "--model-folder", folder, "--engine", ENGINE.name, "--workers", 1, *words)


def test_the_json_and_the_mask_are_those_of_score_py(tool, folder, moles, scores, tmp_path):
    scores, masks = scores
    images = [moles.folder / name for name in moles.names]
    done = run(tool, folder, *images, "--json-lines", "-", "--masks-out", tmp_path / "drawn")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["image"] for line in lines] == [str(image) for image in images]
    for number, line in enumerate(lines):
        assert (line["height"], line["width"]) == tuple(scores.image_sizes[number])
        assert line["box"] == pytest.approx(scores.boxes[number].tolist(), abs=1e-4)
        assert line["score"] == pytest.approx(float(scores.detection_scores[number]), abs=1e-6)
        assert line["detected"] == bool(scores.detected[number])
        assert list(line["shares"].values()) == pytest.approx(scores.class_scores[number].tolist(), abs=1e-6)
        assert line["class"] == ["benign", "malignant"][scores.class_scores[number].argmax()]
        assert set(line["probabilities"]) == {"lesion"}
        mask = cv2.imread(line["mask"], cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, cv2.imread(str(masks / f"{moles.names[number]}.png"), 0))
        assert line["mask_share"] == pytest.approx((mask == 255).mean())
        height, width = cv2.imread(line["overlay"]).shape[:2]
        assert max(height, width) == 512, "a small photograph is enlarged, so that lines are thin on it"
        assert height / width == pytest.approx(line["height"] / line["width"], abs=0.02)
    record = json.loads((tmp_path / "drawn" / "predictions.json").read_text())
    assert record["model"]["name"] == "tiny_mask_rcnn" and record["model"]["side"] == 64


def test_the_text(tool, folder, moles, scores):
    done = run(tool, folder, moles.folder / moles.names[3])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    shares = sorted(scores[0].class_scores[3], reverse=True)
    assert [line.split()[-2] for line in lines[1:3]] == [f"{share:.3f}" for share in shares]
    assert "of 260 x 200 pixels" in lines[3] and lines[3].startswith("  box")
    assert any(line.startswith("  mask") and line.endswith("% of the picture") for line in lines)
    assert any(line.startswith("  lesion") for line in lines)
    assert ("the likeliest place" in done.stdout) != bool(scores[0].detected[3])


def test_an_image_that_cannot_be_used_is_told_and_the_others_are_drawn(tool, folder, moles, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    done = run(tool, folder, tmp_path / "bad.jpg", moles.folder / moles.names[0], "--masks-out", tmp_path / "drawn")
    assert done.returncode == 1 and done.stderr.count("\n") == 2 and "bad.jpg: not an image" in done.stderr
    assert {path.name for path in (tmp_path / "drawn").glob("*.png")} == {"0.png.png", "0.png.overlay.png"}


def test_dead_proposals_are_told_beside_the_answer(tool, mask_model, moles, tmp_path):
    weights = kill_proposals(mask_model.weights, tmp_path / "dead.caffemodel")
    net = TrainedNet(mask_model.deploy, weights)
    export(request(mask_model, source=net, licence="CC0", short_side=None), tmp_path / "m", {})
    image = moles.folder / moles.names[0]
    done = run(tool, tmp_path / "m", image, "--json-lines", "-")
    assert done.returncode == 0
    of_regions, dead = done.stderr.splitlines()
    assert dead == f"predict.py: {image}: {warning(1, 1)}"
    assert "m: cannot tell photographs that are unlike its training images: it draws lesions" in of_regions
    assert json.loads(done.stdout)["told"] == [warning(1, 1)]


def test_flags_of_the_other_kind_of_model(tool, refused, folder, model, moles, photographs, tmp_path):
    done = run(tool, folder, moles.folder / moles.names[0], "--attention", tmp_path / "a")
    refused(done, "--attention", "draws lesions; give --masks-out")
    done = run(tool, model.path, photographs.images / photographs.names[0], "--masks-out", tmp_path / "m")
    refused(done, "--masks-out", "draws no lesions")
    assert not list(tmp_path.iterdir())


class TestFolder:
    def test_it_is_read_as_it_was_made(self, folder, mask_model):
        read = read_model_folder(folder)
        assert (read.net.classes, read.net.heads) == (2, ("class", "box", "mask"))
        assert read.class_names == ["benign", "malignant"] and read.labels == {"lesion": ["benign", "malignant"]}
        assert (read.crop, read.short_side, read.crops) == (64, 64, 1)
        assert read.deploy.read_bytes() == mask_model.deploy.read_bytes()

    def test_older_versions_do_not_take_it_for_a_net_of_crops(self, folder):
        assert json.loads((folder / RECORD).read_text())["format"] == "skinmtl model folder, version 2"

    @pytest.mark.parametrize(
        ("file", "change", "words"),
        [
            ("classes.txt", ("malignant", "melanoma"), "its sha256 is not the one in model.json"),
            ("classes.txt", ("malignant\n", ""), "1 names for the 2 classes of the net"),
            (RECORD, ('"long_side": 1024', '"long_side": 0'), "regions is"),
            (RECORD, ('"mask"\n', '"mask", "box"\n'), "regions is"),
            (RECORD, ("version 2", "version 1"), "not the record of a"),
        ],
    )
    def test_what_was_changed_is_named(self, folder, tmp_path, file, change, words):
        for path in folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / file).write_text((tmp_path / file).read_text().replace(*change))
        with pytest.raises(InputError, match=words):
            read_model_folder(tmp_path)

    def test_the_card_says_what_it_draws(self, folder):
        card = (folder / "README.md").read_text()
        for words in ("of the one lesion in it class, box, mask", "| 2 | malignant |", "fits a square of 64 pixels"):
            assert words in card
        assert "Ten squares" not in card and "readNetFromCaffe" not in card

    def test_a_net_without_classes_has_no_list_of_them(self, tmp_path):
        net = MaskModel(tmp_path / "net", heads=("mask",))
        told = export(request(net, short_side=None), tmp_path / "model", {})
        assert told[0] == f"{tmp_path}/model: tiny_mask_rcnn, mask"
        assert not (tmp_path / "model" / "classes.txt").exists()
        assert read_model_folder(tmp_path / "model").class_names == []

    def test_names_that_contradict_the_net_are_refused(self, mask_model, moles, tmp_path):
        (tmp_path / "m.csv").write_text(moles.manifest.read_text().replace("malignant", "melanoma"))
        asked = replace(request(mask_model, short_side=None), manifest=tmp_path / "m.csv")
        with pytest.raises(InputError, match="lesion_names other than in"):
            export(asked, tmp_path / "model", {})


class TestOutlines:
    IMAGE = np.full((100, 160, 3), 128, np.uint8)

    def test_the_box_and_the_outline_are_where_they_are(self):
        mask = np.zeros((100, 160), bool)
        mask[30:60, 40:90] = True
        picture = outlined(self.IMAGE, [Drawn(mask, np.array([0.25, 0.3, 0.5625, 0.6]), ANSWER)])
        changed = (picture != 128).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        around = 3 * max(1, round(THIN * 160))
        assert 30 - around <= rows[0] <= 30 and 59 <= rows[-1] <= 59 + around
        assert 40 - around <= columns[0] <= 40 and 89 <= columns[-1] <= 89 + around
        assert not changed[36:54, 46:84].any(), "nothing is drawn inside"

    def test_a_mask_of_another_size_is_stretched(self):
        mask = np.zeros((50, 80), bool)
        mask[15:30, 20:45] = True
        small, large = (
            outlined(self.IMAGE, [Drawn(each, None, TRUTH)]) for each in (mask, np.kron(mask, np.ones((2, 2), bool)))
        )
        moved = np.abs(small.astype(int) - large).max(axis=2) > 60
        assert moved.sum() < 40, "the corners alone are rounder"

    def test_nothing_to_draw_leaves_the_picture(self):
        np.testing.assert_array_equal(outlined(self.IMAGE, [Drawn(np.zeros((9, 9), bool), None, ANSWER)]), self.IMAGE)

    def test_the_line_is_seen_on_dark_and_on_light(self):
        for grey in (0, 255):
            picture = outlined(
                np.full((80, 80, 3), grey, np.uint8), [Drawn(None, np.array([0.2, 0.2, 0.8, 0.8]), ANSWER)]
            )
            assert np.abs(picture.astype(int) - grey).max() > 200
