"""tools/evaluate_maps.py: saved maps and a manifest's masks in, a table and JSON out; one line where they differ."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from skinmtl.explanation.attention_file import HeadAttention, new_attention_file

NAMES = {"lesion": ["crust", "scar"], "location": ["arm", "leg"]}


def write_maps(folder, maps):
    """attention.npz of `maps`: image -> (labels, maps by label); the location's maps look away from the lesion."""
    folder.mkdir()
    with new_attention_file(folder / "attention.npz") as file:
        for image, (labels, of_labels) in maps.items():
            probabilities = np.full(2, 0.5, np.float32)
            heads = {
                "lesion": HeadAttention(labels, np.stack(of_labels).astype(np.float32), probabilities),
                "location": HeadAttention(("arm",), -of_labels[0][None].astype(np.float32), probabilities),
            }
            file.add(image, heads)
        file.finish(NAMES, {"net": "a test"})


@pytest.fixture
def data(tmp_path):
    """Twenty-four pictures of twelve patients: the crust's maps are their masks, the scar's are masks turned round."""
    (tmp_path / "masks").mkdir()
    lines, maps, random = ["image,lesions,location,group,mask"], {}, np.random.RandomState(1)
    for number in range(24):
        large = np.zeros((60, 80), np.uint8)
        top, left = 2 * random.randint(0, 18), 2 * random.randint(0, 25)
        large[top : top + 20, left : left + 24] = 255
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), large)
        small = cv2.resize(large, (40, 30), interpolation=cv2.INTER_AREA) / 255.0
        both = number % 3 == 0
        labels = ("crust", "scar") if both else (("crust",) if number % 3 == 1 else ("scar",))
        of_label = {"crust": small, "scar": small[::-1, ::-1]}
        maps[f"{number}.jpg"] = labels, [of_label[label] for label in labels]
        lines.append(f"{number}.jpg,{';'.join(labels)},arm,p{number // 2},{number}.png")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    write_maps(tmp_path / "maps", maps)
    return SimpleNamespace(folder=tmp_path, manifest=tmp_path / "manifest.csv", masks=tmp_path / "masks", maps=maps)


@pytest.fixture
def evaluate(tool, data):
    def run(*more, attention=None):
        words = [attention or data.folder / "maps", "--manifest", data.manifest, "--masks", data.masks]
        return tool("evaluate_maps.py", *more, *words, "--bootstrap", 200)

    return run


def test_the_table_says_of_which_labels_the_maps_lie_on_the_lesion(evaluate, data):
    done = evaluate("--json", data.folder / "out.json")
    assert done.returncode == 0, done.stderr
    assert "better for crust; " in done.stdout
    assert "24 images of 12 groups; 200 resamples of the groups" in done.stdout
    assert "location: 24 maps have no evidence for their label, and count 0" in done.stdout
    found = json.loads((data.folder / "out.json").read_text())
    crust = found["heads"]["lesion"]["by_label"]["crust"]
    assert (crust["n_images"], crust["evidence"]["map"], crust["hit"]["map"]) == (16, 1, 1)
    assert crust["evidence"]["verdict"] == "better"
    chance = crust["evidence"]["chance"]
    assert 0.05 < chance < crust["evidence"]["gaussian"] < 1
    assert found["heads"]["lesion"]["by_label"]["scar"]["evidence"]["verdict"] != "better"
    assert found["heads"]["location"]["evidence"]["map"] == 0
    assert found["left_out"] == {}
    assert found["attention"][0]["protocol"] == {"net": "a test"}


def test_a_map_that_is_no_better_than_the_middle_is_told_in_words(evaluate, data):
    write_maps(data.folder / "flat", {name: (("scar",), [np.ones((30, 40))]) for name in data.maps})
    done = evaluate(attention=data.folder / "flat")
    assert done.returncode == 0, done.stderr
    words = "lesion maps, evidence inside the mask: is worse than a Gaussian in the middle, -"
    assert words in done.stdout
    assert "looking there needs no net" in done.stdout
    assert "beats" not in done.stdout


def test_images_without_a_mask_that_can_be_used_are_left_out_and_counted(evaluate, data):
    rows = data.manifest.read_text().splitlines()
    rows[1] = rows[1].replace("0.png", "")
    data.manifest.write_text("\n".join(rows) + "\n")
    for number, value in ((1, 0), (2, 255), (3, 255)):
        cv2.imwrite(str(data.masks / f"{number}.png"), np.full((60, 80), value, np.uint8))
    done = evaluate("--json", data.folder / "out.json")
    assert done.returncode == 0, done.stderr
    assert "20 images of 10 groups" in done.stdout
    assert "left out: 2 images: its mask is all lesion" in done.stdout
    left_out = json.loads((data.folder / "out.json").read_text())["left_out"]
    assert left_out["0.jpg"] == "has no mask"
    assert left_out["1.jpg"] == "its mask has no lesion at the maps' size"


def test_files_that_do_not_belong_together_are_one_line(evaluate, data, refused):
    refused(evaluate(data.folder / "maps"), "image '0.jpg' is in", "give each image's maps once")
    cv2.imwrite(str(data.masks / "4.png"), np.zeros((80, 60), np.uint8))
    refused(evaluate(), "4.png", "of another shape than its image's maps, 40 x 30")
    (data.masks / "4.png").unlink()
    refused(evaluate(), "4.png", "No such file")
    write_maps(data.folder / "other", {"other.jpg": (("scar",), [np.ones((30, 40))])})
    refused(evaluate(attention=data.folder / "other"), "image 'other.jpg' is not in")
    refused(evaluate(attention=data.folder / "none"), "none/attention.npz", "name a folder of attend.py")
    rows = [line.rpartition(",")[0] + "," for line in data.manifest.read_text().splitlines()[1:]]
    data.manifest.write_text("image,lesions,location,group,mask\n" + "\n".join(rows) + "\n")
    refused(evaluate(), "no image of 24 has a mask with lesion and skin")


def test_folds_are_pooled(tool, data):
    names = list(data.maps)
    for number, part in enumerate((names[:12], names[12:])):
        write_maps(data.folder / f"fold{number}", {name: data.maps[name] for name in part})
    words = ["--manifest", data.manifest, "--masks", data.masks, "--bootstrap", 200]
    pooled = tool("evaluate_maps.py", data.folder / "fold0", data.folder / "fold1", *words)
    whole = tool("evaluate_maps.py", data.folder / "maps", *words)
    assert "24 images of 12 groups" in pooled.stdout
    assert pooled.stdout.partition("note:")[0] == whole.stdout.partition("note:")[0]
