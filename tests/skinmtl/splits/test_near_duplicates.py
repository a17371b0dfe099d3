"""Near-duplicates across groups: the hash, the search, merged groups, and make_folds.py with them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_groups import manifest_of
from scipy.fftpack import dct

from caffe_files.errors import InputError
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import read_manifest
from skinmtl.splits import near_duplicates
from skinmtl.splits.dealing import make_folds
from skinmtl.splits.near_duplicates import (
    LEAST_STRENGTH,
    USUAL_CORRELATION,
    USUAL_DISTANCE,
    Hashes,
    Pair,
    Search,
    find_pairs,
    hash_images,
    perceptual_hash,
)
from skinmtl.splits.near_report import LIMITS
from skinmtl.splits.splitting import Split, merge_groups, write_split


@lru_cache(None)
def photograph(seed, height=150, width=200):
    """A picture that resembles no other: smooth random colours at several scales."""
    random = np.random.RandomState(seed)
    image = np.zeros((height, width, 3))
    for cells, strength in ((3, 40), (6, 25), (12, 15), (40, 8)):
        noise = random.uniform(-strength, strength, (cells, cells, 3))
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + np.array([150, 160, 190]), 0, 255).astype(np.uint8)


def jpeg(image, quality):
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def cut(image, share):
    rows, columns = (int(side * share) for side in image.shape[:2])
    return image[rows:-rows, columns:-columns]


COPIES = {
    "saved again": lambda image: jpeg(image, 40),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "twice the size": lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "brighter": lambda image: np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8),
    "more contrast": lambda image: np.clip((image.astype(float) - 128) * 1.2 + 128, 0, 255).astype(np.uint8),
    "cut by 1 %": lambda image: cut(image, 0.01),
    "all of it": lambda image: jpeg(cv2.resize(cut(image, 0.01), (160, 120)) // 10 * 9 + 20, 60),
}


class TestHash:
    def test_it_is_what_a_plain_dct_gives(self):
        image = photograph(1)
        grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(float), (32, 32), interpolation=3)
        low = dct(dct(grey, axis=0, norm="ortho"), axis=1, norm="ortho")[1:9, 1:9].reshape(-1)
        found = perceptual_hash(image)
        sure = np.abs(low - np.median(low)) > 0.01
        np.testing.assert_array_equal(found.bits[sure], (low > np.median(low))[sure])
        assert found.strength == pytest.approx(np.sqrt(np.mean(low**2)), rel=1e-4)
        assert found.bits.sum() == 32

    @pytest.mark.parametrize("name", COPIES)
    def test_copies_are_near(self, name):
        images = [photograph(seed) for seed in range(20)]
        pairs = [(perceptual_hash(image), perceptual_hash(COPIES[name](image))) for image in images]
        near = [(a.bits != b.bits).sum() <= USUAL_DISTANCE for a, b in pairs]
        alike = [np.corrcoef(a.picture.ravel(), b.picture.ravel())[0, 1] >= USUAL_CORRELATION for a, b in pairs]
        assert np.mean(np.array(near) & alike) >= 0.95

    def test_different_images_are_far(self):
        hashes = [perceptual_hash(photograph(seed)) for seed in range(100)]
        distances = [(a.bits != b.bits).sum() for n, a in enumerate(hashes) for b in hashes[:n]]
        distances += [(a.bits != b.mirrored).sum() for n, a in enumerate(hashes) for b in hashes[:n]]
        assert min(distances) > USUAL_DISTANCE
        assert np.mean(distances) == pytest.approx(32, abs=1)

    def test_the_mirrored_hash_is_that_of_the_mirror_image(self):
        for seed in range(5):
            image = photograph(seed)
            found, other = perceptual_hash(image), perceptual_hash(np.ascontiguousarray(image[:, ::-1]))
            assert (found.mirrored != other.bits).sum() <= 2
            assert (found.bits != other.mirrored).sum() <= 2

    @pytest.mark.parametrize("name", ["white", "a slope", "JPEG noise"])
    def test_a_picture_without_structure_is_weak(self, name):
        image = np.full((200, 200, 3), 255, np.uint8)
        if name == "a slope":
            image[:] = np.linspace(0, 255, 200)[:, None]
        if name == "JPEG noise":
            image = jpeg((image - np.random.RandomState(1).randint(0, 6, image.shape)).astype(np.uint8), 75)
        assert perceptual_hash(image).strength < LEAST_STRENGTH
        assert perceptual_hash(photograph(1)).strength > LEAST_STRENGTH


class TestSearch:
    def some(self, n=60, seed=1):
        """Random hashes in which every third is a little off the one before, or off its mirrored one."""
        random = np.random.RandomState(seed)
        bits, mirrored = random.uniform(size=(2, n, 64)) < 0.5
        for here in range(2, n, 3):
            bits[here] = (mirrored if here % 2 else bits)[here - 1] ^ (random.uniform(size=64) < 0.06)
        plain = random.uniform(size=n) < 0.1
        groups = [f"g{n // 5}" if n % 4 else f"h{n}" for n in range(n)]
        pictures = random.randint(0, 256, (n, 32, 32)).astype(np.uint8)
        pictures[1::2, :, :16] = pictures[::2, :, :16]  # each second correlates with the one before by about a half
        pictures[1::4] = pictures[1::4, :, ::-1]  # or with its mirror image
        return manifest_of([("a", "x", group) for group in groups]), groups, Hashes(bits, mirrored, pictures, plain)

    @pytest.mark.parametrize("distance", [0, 3, 6, 20])
    @pytest.mark.parametrize("tile", [7, 2048])
    def test_it_finds_what_comparing_each_with_each_finds(self, monkeypatch, distance, tile):
        monkeypatch.setattr(near_duplicates, "TILE", tile)
        manifest, groups, hashes = self.some()
        for least in (-1, 0.4):
            self.compare(manifest, groups, hashes, distance, least)

    @staticmethod
    def compare(manifest, groups, hashes, distance, least):
        expected, near = set(), 0
        for a in range(len(groups)):
            for b in range(len(groups)):
                straight = (hashes.bits[a] != hashes.bits[b]).sum()
                across = min((hashes.bits[a] != hashes.mirrored[b]).sum(), (hashes.mirrored[a] != hashes.bits[b]).sum())
                if hashes.too_plain[[a, b]].any() or groups[a] == groups[b] or min(straight, across) > distance:
                    continue
                if manifest.rows[a].image < manifest.rows[b].image:
                    near += 1
                    one, other = hashes.pictures[a], hashes.pictures[b]
                    alike = [np.corrcoef(one.ravel(), each.ravel())[0, 1] for each in (other, other[:, ::-1])]
                    if max(alike) >= least:
                        pair = Pair(a, b, min(straight, across), round(max(alike), 4), alike[1] > alike[0])
                        expected.add(pair)
        found = find_pairs(manifest, groups, hashes, Search(None, distance, least, 1))
        assert set(found.pairs) == expected
        assert len(found.pairs) == len(expected)
        assert found.n_near_hashes == near
        assert bool(near) == (distance > 0)
        if least < 0:
            assert len(found.pairs) == near
        elif distance == 20:
            assert 0 < len(found.pairs) < near
            assert {pair.mirrored for pair in found.pairs} == {True, False}
        names = [(pair.distance, manifest.rows[pair.a].image, manifest.rows[pair.b].image) for pair in found.pairs]
        assert names == sorted(names)

    def test_too_many_pairs_are_refused_not_kept_in_memory(self, monkeypatch):
        monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 10)
        same = np.zeros((20, 64), bool)
        pictures = np.repeat(np.arange(1024, dtype=np.uint8).reshape(1, 32, 32), 20, axis=0)
        hashes = Hashes(same, same, pictures, same[:, 0])
        manifest = manifest_of([("a", "x", str(n)) for n in range(20)])
        with pytest.raises(
            InputError, match="more than 10 pairs of images are within a distance of 6; ask for a smaller"
        ):
            find_pairs(manifest, [row.group for row in manifest.rows], hashes, Search(None, 6, 0, 1))

    def test_no_image_that_can_be_compared(self):
        manifest, groups, hashes = self.some(4)
        hashes = hashes._replace(too_plain=np.ones(4, bool))
        assert find_pairs(manifest, groups, hashes, Search(None, 64, -1, 1)).pairs == []

    def test_pictures_of_one_grey_level_do_not_correlate(self):
        same = np.ones((2, 64), bool)
        hashes = Hashes(same, same, np.full((2, 32, 32), 9, np.uint8), np.zeros(2, bool))
        found = find_pairs(manifest_of([("a", "x", "1"), ("a", "x", "2")]), ["1", "2"], hashes, Search(None, 6, 0.1, 1))
        assert (found.pairs, found.n_near_hashes) == ([], 1)


class TestMerging:
    def test_groups_linked_through_others_become_one_and_keep_their_old_names(self):
        manifest = manifest_of([("a", "x", group) for group in ["e", "b", "c", "d", "b", "a"]])
        merged = merge_groups(manifest, [Pair(0, 1, 0, 1.0, False), Pair(4, 2, 6, 0.98, True)])
        assert [row.group for row in merged.rows] == ["b", "b", "b", "d", "b", "a"]
        assert [row.others["original_group"] for row in merged.rows] == ["e", "b", "c", "d", "b", "a"]
        assert [row.group for row in merge_groups(manifest, []).rows] == [row.group for row in manifest.rows]

    def test_a_manifest_that_was_merged_is_refused(self):
        merged = merge_groups(manifest_of([("a", "x", "1")]), [])
        with pytest.raises(InputError, match="there is a column 'original_group' already; merge the groups of the"):
            merge_groups(merged, [])


@pytest.fixture
def album(tmp_path):
    """Ten photographs of five patients; copies of two in the hands of two more; a mirrored one; two blank ones."""
    (tmp_path / "images").mkdir()
    images = {f"{n}.jpg": (photograph(n), f"p{n // 2}") for n in range(10)}
    images["copy of 0.jpg"] = (COPIES["all of it"](photograph(0)), "q")
    images["copy of 2.jpg"] = (cut(photograph(2), 0.01), "q")
    images["mirrored 4.jpg"] = (photograph(4)[:, ::-1], "r")
    images["copy of 6.jpg"] = (photograph(6), "p3")  # the same patient: no concern
    for n in (0, 1):
        images[f"blank {n}.jpg"] = (np.full((80, 80, 3), 240, np.uint8), f"blank{n}")
    lines = ["image,lesions,location,group,site"]
    for n, (name, (image, group)) in enumerate(images.items()):
        cv2.imwrite(str(tmp_path / "images" / name), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        lines.append(f"{name},{'ab'[n % 2]},x,{group},here")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return SimpleNamespace(
        folder=tmp_path, command=["make_folds.py", "--manifest", "manifest.csv", "--n-folds", 3, "--out", "folds.csv"]
    )


EXPECTED = [
    ("0.jpg", "copy of 0.jpg", "p0", "q", "no"),
    ("2.jpg", "copy of 2.jpg", "p1", "q", "no"),
    ("4.jpg", "mirrored 4.jpg", "p2", "r", "yes"),
]


def test_hashing_takes_any_number_of_workers(album):
    manifest = read_manifest(album.folder / "manifest.csv")
    one, two = (hash_images(manifest, album.folder / "images", workers) for workers in (1, 2))
    assert all((a == b).all() for a, b in zip(one, two))
    assert [row.image for row, plain in zip(manifest.rows, one.too_plain) if plain] == ["blank 0.jpg", "blank 1.jpg"]


def test_the_tool_finds_merges_and_writes_them(tool, album):
    search = ["--images", "images", "--near-duplicates", "--merge-near-duplicates", "merged", "--workers", 1]
    finished = tool(*album.command, *search, cwd=album.folder)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines()[:4] == [
        "near-duplicates across groups: 3 pairs (1 mirrored) among 14 images; 3 pairs have hashes at most 6 of 64 bits "
        "apart, these correlate by 0.97 or more",
        "2 images are too plain to compare: blank 0.jpg, blank 1.jpg",
        LIMITS,
        "merged: 9 groups became 6; most were joined in 'p0': 3 groups, 6 images",
    ]
    with open(str(album.folder / "folds_near_duplicates.csv"), encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))
    assert sorted((p["image_a"], p["image_b"], p["group_a"], p["group_b"], p["mirrored"]) for p in pairs) == EXPECTED
    assert all(int(pair["distance"]) <= 6 and float(pair["correlation"]) >= 0.97 for pair in pairs)
    report = json.loads((album.folder / "folds.json").read_text(encoding="utf-8"))
    assert report["near_duplicates"]["images_too_plain_to_compare"] == ["blank 0.jpg", "blank 1.jpg"]
    merged = read_manifest(album.folder / "merged" / "manifest.csv")
    original = read_manifest(album.folder / "manifest.csv")
    assert [replace(row, group=row.others["original_group"]) for row in merged.rows] == list(original.rows)
    assert merged.rows[0].others["site"] == "here"
    group_of = {row.image: row.group for row in merged.rows}
    with open(str(album.folder / "folds.csv"), encoding="utf-8") as file:
        fold_of = {record["image"]: record["fold"] for record in csv.DictReader(file)}
    assert len({(group_of[image], fold) for image, fold in fold_of.items()}) == 6
    made_by = json.loads((album.folder / "merged" / "made_by.json").read_text(encoding="utf-8"))
    assert made_by["manifest_sha256"] == report["manifest_sha256"]


def test_joined_groups_that_are_too_few_for_the_folds_are_refused(album):
    everything = Search(album.folder / "images", 64, -1, 1)
    split = Split(4, 1, "group", "labels", everything, album.folder / "merged")
    with pytest.raises(InputError, match="with near-duplicates joined, its groups are 3, too few for 4 folds; lower"):
        write_split(read_manifest(album.folder / "manifest.csv"), album.folder / "folds.csv", split, {})
    assert sorted(path.name for path in album.folder.iterdir()) == ["images", "manifest.csv"]


def test_without_merging_the_tool_only_reports(tool, album):
    finished = tool(*album.command, "--images", "images", "--near-duplicates", 0, "--workers", 1, cwd=album.folder)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "merged" not in finished.stdout
    manifest = read_manifest(album.folder / "manifest.csv")
    folds = read_folds(album.folder / "folds.csv", manifest)
    np.testing.assert_array_equal(folds, make_folds(manifest, 3, 1, "group", "labels"))
    again = tool(*album.command, "--overwrite", cwd=album.folder)
    assert "folds_near_duplicates.csv: is of earlier folds" in again.stdout


def test_the_tool_names_every_image_that_cannot_be_read_and_leaves_nothing(tool, album):
    (album.folder / "images" / "3.jpg").write_bytes(b"\xff\xd8 no more")
    (album.folder / "images" / "blank 1.jpg").write_bytes(b"")
    before = sorted(path.name for path in album.folder.iterdir())
    search = ["--images", "images", "--near-duplicates", "--merge-near-duplicates", "merged", "--workers", 1]
    finished = tool(*album.command, *search, cwd=album.folder)
    assert (finished.returncode, finished.stdout) == (1, "")
    said = finished.stderr.splitlines()
    assert len(said) == 2
    assert said[0].startswith("make_folds.py: manifest.csv:5: image images/3.jpg: the JPEG is truncated")
    assert said[1].startswith("make_folds.py: manifest.csv:17: image images/blank 1.jpg: the file is empty")
    assert sorted(path.name for path in album.folder.iterdir()) == before


def test_a_folder_that_is_there_is_left_alone(album):
    (album.folder / "merged").mkdir()
    split = Split(3, 1, "group", "labels", Search(album.folder / "images", 6, 0.97, 1), album.folder / "merged")
    with pytest.raises(InputError, match="merged: exists already"):
        write_split(read_manifest(album.folder / "manifest.csv"), album.folder / "folds.csv", split, {})
    assert sorted(path.name for path in album.folder.iterdir()) == ["images", "manifest.csv", "merged"]
