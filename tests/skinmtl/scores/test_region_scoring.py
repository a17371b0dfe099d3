"""score.py on a net that draws lesions: one look at the whole image, and all that follows from it in its own pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_masks_model import MaskModel
from made_model import ENGINE
from scipy.ndimage import map_coordinates

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.data.manifest import read_manifest
from skinmtl.images.resizing import resize
from skinmtl.scores import region_scoring
from skinmtl.scores.forward import Protocol
from skinmtl.scores.mask_net import MaskNet
from skinmtl.scores.region_scoring import Places, score_regions
from skinmtl.scores.scores_file import read_scores
from skinmtl.scores.square import LONG_SIDE

pytest_plugins = ["made_masks_fixtures", "made_model_fixtures"]
MEAN = (103.0626, 115.9029, 123.1516)


def scored(model, moles, out, masks=True, batch_size=1, workers=1, manifest=None, masks_out=None):
    """In this process."""
    places = Places(moles.folder, moles.folder if masks else None, masks_out or out.with_name("drawn"))
    protocol = Protocol(0, MEAN, batch_size, ENGINE, workers, 1)
    return score_regions(
        model.deploy, model.weights, read_manifest(manifest or moles.manifest), places, protocol, out, {}
    )


@pytest.fixture(scope="module")
def scoring(mask_model, moles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scoring")
    scored(mask_model, moles, folder / "s.npz")
    return folder


@pytest.fixture(scope="module")
def scores(scoring):
    return read_scores(scoring / "s.npz")


def drawn(folder, name):
    mask = cv2.imread(str(folder / "drawn" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    assert mask.ndim == 2 and set(np.unique(mask)) <= {0, 255}
    return mask == 255


def test_an_answer_is_the_first_detection_of_the_letterboxed_image(mask_model, moles, scores, scoring):
    """Against a reading of its own: the engine run by hand, the way back to the image by its ratios."""
    net = ENGINE.open(mask_model.deploy, mask_model.weights)
    for number, name in enumerate(moles.names):
        image = cv2.imread(str(moles.folder / name))
        height, width = image.shape[:2]
        scale = max(1, 50 / min(height, width))
        scale = 64 / max(height, width) if round(max(height, width) * scale) > 64 else scale
        rows, columns = round(height * scale), round(width * scale)
        top, left = (64 - rows) // 2, (64 - columns) // 2
        square = np.zeros((64, 64, 3), np.float32)
        square[top : top + rows, left : left + columns] = cv2.resize(image, (columns, rows))
        inputs = {
            "data": (square - np.array(MEAN, np.float32)).transpose(2, 0, 1)[None],
            "window": np.array([[left, top, left + columns, top + rows]], np.float32),
        }
        detections, masks = net.forward(inputs, ["detections", "detection_masks"])
        row = np.array(detections)[0, 0]
        box = (row[:4] - [left, top] * 2) / ([columns / width, rows / height] * 2)
        np.testing.assert_allclose(scores.boxes[number], box, atol=1e-3)
        np.testing.assert_allclose(scores.class_scores[number], row[7:], atol=1e-5)
        assert scores.detection_scores[number] == pytest.approx(row[5], abs=1e-5)
        assert scores.detected[number] == bool(row[6])
        assert scores.image_sizes[number].tolist() == [height, width]
        x1, y1, x2, y2 = box
        y, x = np.mgrid[:height, :width] + 0.5
        places = [(y - y1) / (y2 - y1) * 28 - 0.5, (x - x1) / (x2 - x1) * 28 - 0.5]
        of_class = np.array(masks)[0, int(row[4])]
        values = map_coordinates(of_class, places, order=1, mode="nearest")
        inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        wrong = drawn(scoring, name) != (inside & (values >= 0.5))
        assert np.abs(values[wrong] - 0.5).max(initial=0) < 1e-3


def test_pixels_are_counted_in_the_original_size(moles, scores, scoring):
    for number, name in enumerate(moles.names):
        answer, truth = drawn(scoring, name), moles.mask(number)
        expected = [(answer & truth).sum(), (answer & ~truth).sum(), (~answer & truth).sum(), (~answer & ~truth).sum()]
        assert scores.mask_counts[number].tolist() == expected
        rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
        assert scores.true_boxes[number].tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_classes_are_the_manifests_lesions(scores):
    assert scores.class_names == ["benign", "malignant"]
    assert scores.class_labels.tolist() == [0, 1] * 3
    np.testing.assert_allclose(scores.class_scores.sum(axis=1), 1, atol=1e-5)


def test_a_head_beside_the_regions_is_scored_too(scores, mask_model):
    assert scores.lesion_scores.shape == (6, 2) and scores.location_scores is None
    assert ((scores.lesion_scores > 0) & (scores.lesion_scores < 1)).all()
    assert scores.lesion_labels.tolist() == [[1, 0], [0, 1]] * 3


def test_the_protocol_says_how(scores):
    assert {name: scores.protocol[name] for name in ("side", "long_side", "views", "heads")} == {
        "side": 64,
        "long_side": 1024,
        "views": 1,
        "heads": ["class", "box", "mask"],
    }
    assert "stretched over the box" in scores.protocol["rule"]


@pytest.mark.parametrize(("batch_size", "workers"), [(4, 1), (2, 2), (9, 1)])
def test_the_batch_size_and_the_workers_change_nothing(mask_model, moles, scores, tmp_path, batch_size, workers):
    again = scored(mask_model, moles, tmp_path / "s.npz", batch_size=batch_size, workers=workers)
    np.testing.assert_allclose(again.boxes, scores.boxes, atol=1e-3)
    np.testing.assert_allclose(again.class_scores, scores.class_scores, atol=1e-5)
    assert np.abs(again.mask_counts - scores.mask_counts).max() <= 3, "a pixel on the edge may round otherwise"


def test_without_true_masks_there_is_nothing_to_hold_against(mask_model, moles, scores, tmp_path):
    lines = [line.split(",") for line in moles.manifest.read_text().splitlines()]
    (tmp_path / "m.csv").write_text("\n".join(",".join([*line[:2], line[3]]) for line in lines) + "\n")
    alone = scored(mask_model, moles, tmp_path / "s.npz", masks=False, manifest=tmp_path / "m.csv")
    assert alone.mask_counts is None and np.isnan(alone.true_boxes).all()
    np.testing.assert_array_equal(alone.boxes, scores.boxes)
    assert drawn(tmp_path, moles.names[0]).any()


def test_an_image_without_a_true_mask_among_others(mask_model, moles, scores, tmp_path):
    text = moles.manifest.read_text().replace("masks/2.png", "")
    (tmp_path / "m.csv").write_text(text)
    some = scored(mask_model, moles, tmp_path / "s.npz", manifest=tmp_path / "m.csv")
    assert some.mask_counts[2].tolist() == [0] * 4 and np.isnan(some.true_boxes[2]).all()
    np.testing.assert_array_equal(some.mask_counts[3:], scores.mask_counts[3:])


@pytest.mark.parametrize("heads", [("class",), ("box",), ("mask",)])
def test_a_net_of_one_head_has_its_part_alone(heads, moles, tmp_path):
    model = MaskModel(tmp_path / "net", heads=heads)
    one = scored(model, moles, tmp_path / "s.npz")
    assert (one.class_scores is not None) == (heads == ("class",))
    assert (one.mask_counts is not None) == (heads == ("mask",)) == (tmp_path / "drawn").exists()
    assert one.boxes.shape == (6, 4) and not np.isnan(one.true_boxes).any()


class StopError(Exception):
    """What stops a run in these tests."""


@pytest.fixture
def stopped(mask_model, moles, tmp_path, monkeypatch):
    """A run that was stopped after four images; and counts the images that are run after it."""
    run, seen = region_scoring.answers, []

    def answers(net, of, squares, *more):
        seen.extend(squares)
        if len(seen) == 5 and not seen_before:
            raise StopError
        return run(net, of, squares, *more)

    seen_before = []
    monkeypatch.setattr(region_scoring, "answers", answers)
    with pytest.raises(StopError):
        scored(mask_model, moles, tmp_path / "s.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".drawn.progress", ".s.npz.progress"]
    seen_before.append(True)
    seen.clear()
    return seen


def test_a_stopped_run_goes_on_where_it_was(stopped, mask_model, moles, scores, scoring, tmp_path):
    again = scored(mask_model, moles, tmp_path / "s.npz")
    assert len(stopped) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn", "s.npz"]
    for name in ("boxes", "class_scores", "mask_counts", "lesion_scores", "true_boxes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scores, name))
    for name in moles.names:
        np.testing.assert_array_equal(drawn(tmp_path, name), drawn(scoring, name))


def test_an_image_whose_mask_was_lost_meanwhile_is_done_again(stopped, mask_model, moles, scores, tmp_path):
    (tmp_path / ".drawn.progress" / f"{moles.names[1]}.png").unlink()
    again = scored(mask_model, moles, tmp_path / "s.npz")
    assert len(stopped) == 5
    np.testing.assert_array_equal(again.mask_counts, scores.mask_counts)


def test_a_mask_that_has_changed_meanwhile_is_counted_anew(stopped, mask_model, moles, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(str(moles.folder), str(other))
    (other / "masks" / "0.png").write_bytes(cv2.imencode(".png", np.full((90, 120), 255, np.uint8))[1].tobytes())
    moved = type("Moles", (), {"folder": other, "manifest": other / "manifest.csv"})
    again = scored(mask_model, moved, tmp_path / "s.npz")
    assert len(stopped) == 6
    assert again.mask_counts[0][[1, 3]].tolist() == [0, 0]


def test_a_photograph_turned_by_its_exif_tag_has_its_mask_upright(mask_model, moles, tmp_path):
    """Orientation 6: stored on its side. The scores are those of the image as it is shown."""
    folder = tmp_path / "set"
    shutil.copytree(str(moles.folder), str(folder))
    image = cv2.imread(str(folder / moles.names[1]))
    jpeg = cv2.imencode(".jpg", cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE), [1, 100])[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    (folder / moles.names[1]).write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    moved = type("Moles", (), {"folder": folder, "manifest": folder / "manifest.csv"})
    turned = scored(mask_model, moved, tmp_path / "s.npz")
    assert turned.image_sizes[1].tolist() == [150, 70]
    assert drawn(tmp_path, moles.names[1]).shape == (150, 70)


class TestRefuses:
    def refused(self, model, moles, tmp_path, words, **how):
        before = sorted(path.name for path in tmp_path.iterdir())
        with pytest.raises(InputError) as caught:
            scored(model, moles, tmp_path / "out" / "s.npz", **how)
        assert words in str(caught.value), caught.value
        left = [path for path in (tmp_path / "out").rglob("*") if not path.name.startswith(".")]
        assert [path for path in left if ".progress" not in str(path)] == []
        return str(caught.value), before

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("masks/1.png", "masks/9.png"), "masks/9.png: cannot be read (No such file or directory)"),
            (("masks/1.png", "masks/0.png"), "masks/0.png: is 120 x 90 pixels, its image 70 x 150"),
            (("masks/1.png", "images/1.png"), "images/1.png: has colours, and is no mask"),
            (("1.png,malignant", "1.png,malignant;benign"), "m.csv:3: 2 lesion names for one image (1 such image)"),
            (("malignant", "melanoma"), "lesion_names other than in"),
        ],
    )
    def test_a_manifest_that_does_not_fit(self, mask_model, moles, tmp_path, change, words):
        (tmp_path / "m.csv").write_text(moles.manifest.read_text().replace(*change))
        said, _ = self.refused(mask_model, moles, tmp_path, words, manifest=tmp_path / "m.csv")
        assert "\n" not in said

    def test_a_folder_of_masks_that_is_there(self, mask_model, moles, tmp_path):
        (tmp_path / "there").mkdir()
        self.refused(mask_model, moles, tmp_path, "there: exists already", masks_out=tmp_path / "there")

    def test_weights_of_a_net_that_diverged(self, moles, tmp_path):
        model = MaskModel(tmp_path / "net")
        weights = read_caffemodel(model.weights)
        bias = next(layer for layer in weights.layer if layer.name == "mask_score").blobs[1]
        bias.data[:] = [float("nan")] * len(bias.data)
        model.weights.write_bytes(weights.SerializeToString())
        self.refused(model, moles, tmp_path, "NaN or infinite")


class TestTool:
    def words(self, model, moles, out, *more):
        words = ["--deploy", model.deploy, "--weights", model.weights, "--manifest", moles.manifest]
        return [*words, "--images", moles.folder, "--engine", ENGINE.name, "--workers", 1, "--out", out, *more]

    def test_the_closing_line_and_the_place_of_the_masks(self, tool, mask_model, moles, tmp_path):
        done = tool("score.py", *self.words(mask_model, moles, tmp_path / "s.npz"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{tmp_path}/s.npz: 6 images scored: mAP-class 0.")
        assert ", AUC 0." in done.stdout and ", mean JA 0." in done.stdout
        assert sorted(path.name for path in tmp_path.iterdir()) == ["s.npz", "s_masks"]
        assert (tmp_path / "s_masks" / f"{moles.names[3]}.png").is_file()

    def test_flags_of_the_other_kind_of_net(self, tool, refused, mask_model, moles, tmp_path, small_net, photographs):
        done = tool("score.py", *self.words(mask_model, moles, tmp_path / "s.npz", "--short-side", 64))
        refused(done, "--short-side", "takes the whole image in a square of its own side")
        words = ["--deploy", small_net.deploy, "--weights", small_net.weights, "--manifest", photographs.manifest]
        words += ["--images", photographs.images, "--engine", ENGINE.name, "--out", tmp_path / "s.npz"]
        done = tool("score.py", *words, "--short-side", 40, "--masks-out", tmp_path / "m")
        refused(done, "--masks-out", "draws no lesions; leave the flag out")
        assert not list(tmp_path.iterdir())


def test_an_image_is_first_made_as_large_as_it_was_for_training(moles, tmp_path):
    """net.json says it; without it, what make_lmdb.py stores."""
    text = (Path(__file__).resolve().parents[3] / "tools" / "make_lmdb.py").read_text()
    assert f"LONG_SIDE = 256, {LONG_SIDE}" in text
    assert [MaskNet(2, ("mask",), *known).longest(side) for known, side in (((), 64), ((), 1536), ((80,), 64))] == [
        *(LONG_SIDE, 1536, 80)
    ]
    model = MaskModel(tmp_path / "net", long_side=80)
    record = tmp_path / "net" / "net.json"
    smaller = scored(model, moles, tmp_path / "1.npz", masks_out=tmp_path / "1")
    assert smaller.protocol["long_side"] == 80 and smaller.image_sizes[3].tolist() == [200, 260]
    folder = tmp_path / "smaller"
    (folder / "images").mkdir(parents=True)
    for name in moles.names:
        image = cv2.imread(str(moles.folder / name))
        height, width = image.shape[:2]
        if max(height, width) > 80:
            size = round(width * 80 / max(height, width)), round(height * 80 / max(height, width))
            image = resize(image, size)
        cv2.imwrite(str(folder / name), image)
    record.write_text(record.read_text().replace('"long_side": 80', '"long_side": null'))
    stored = type("Moles", (), {"folder": folder, "manifest": moles.manifest})
    beforehand = scored(model, stored, tmp_path / "2.npz", masks=False, masks_out=tmp_path / "2")
    np.testing.assert_array_equal(smaller.class_scores, beforehand.class_scores)
