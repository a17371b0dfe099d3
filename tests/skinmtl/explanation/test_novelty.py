"""Novelty: distances as the slow way has them, patients kept apart, a threshold that keeps what it says, and a file."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.explanation.features_file import Features, write_features
from skinmtl.explanation.novelty import Novelty, fit, kth_distances, least_images, ordinal, rank_of, unit_length
from skinmtl.explanation.novelty_file import read_novelty, record_of, write_novelty

PROTOCOL = {"blob": "pool5", "crops": 10, "weights_sha256": "a" * 64}
UNSEEN = {"trained": 0, "watched": 0, "same_name": 0, "same_group": 0}


def slow_distances(reference, groups, queries, of_queries, k):
    """The slow way: one query after the other, in float64."""
    found = []
    for query, group in zip(queries.astype(np.float64), of_queries):
        others = reference[groups != group].astype(np.float64)
        found.append(np.sort(np.sqrt(((others - query) ** 2).sum(axis=1)))[k - 1])
    return found


def fitted(seed=0, n=60, v=120, size=8, k=3, keep=0.95, kept=None, **changes):
    random = np.random.RandomState(seed)
    training, validation = random.rand(n, size).astype(np.float32), random.rand(v, size).astype(np.float32)
    groups = np.arange(n) // 2
    rows = np.arange(n) if kept is None else kept
    given = (training, groups, validation, np.arange(v) + n, rows, k, keep, PROTOCOL, "validation images", {"seed": 1})
    return fit(*given) if not changes else fit(**{**dict(zip(fit.__code__.co_varnames, given)), **changes})


class TestDistances:
    @given(
        n=st.integers(12, 40),
        m=st.integers(1, 12),
        patients=st.integers(4, 40),
        k=st.integers(1, 4),
        seed=st.integers(0, 999),
    )
    @settings(deadline=None)
    def test_are_those_of_the_slow_way_without_ones_own_patient(self, n, m, patients, k, seed):
        random = np.random.RandomState(seed)
        reference, queries = random.rand(n, 5).astype(np.float32), random.rand(m, 5).astype(np.float32)
        groups, of_queries = np.arange(n) % patients, random.randint(0, patients + 3, m)
        fewest = min((groups != group).sum() for group in of_queries)
        if fewest < k:
            with pytest.raises(InputError, match=f"fewer than {k} training images of other patients"):
                kth_distances(reference, groups, queries, of_queries, k)
            return
        found = kth_distances(reference, groups, queries, of_queries, k)
        assert np.allclose(found, slow_distances(reference, groups, queries, of_queries, k), rtol=1e-6)

    def test_a_training_image_is_not_its_own_neighbour_and_neither_is_its_patients(self):
        rows = unit_length(np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1]], np.float32))
        assert kth_distances(rows, np.arange(4), rows, np.arange(4), 1).max() < 0.02
        assert kth_distances(rows, np.array([0, 0, 1, 1]), rows, np.array([0, 0, 1, 1]), 1).min() > 1.39

    def test_the_length_of_features_does_not_matter_and_nothing_stays_nothing(self):
        rows = np.random.RandomState(1).rand(5, 7).astype(np.float32)
        assert np.allclose(unit_length(rows), unit_length(1e6 * rows), atol=1e-7)
        assert np.allclose(np.linalg.norm(unit_length(rows), axis=1), 1)
        assert not unit_length(np.zeros((2, 3), np.float32)).any()


class TestThreshold:
    @given(keep=st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]), more=st.integers(0, 60))
    def test_keeps_its_share_of_new_images_of_the_same_kind(self, keep, more):
        """Among V + 1 images of one kind each is as likely the new one; the ranks that are kept are at least (V + 1)
        keep of them."""
        count = least_images(keep) + more
        rank = rank_of(keep, count)
        assert rank <= count and rank / (count + 1) >= keep - 1e-12 > (rank - 1) / (count + 1) - 1e-9

    def test_takes_as_many_validation_images_as_it_says(self):
        assert (least_images(0.99), least_images(0.95), least_images(0.9)) == (99, 19, 9)
        assert fitted(v=19).threshold == fitted(v=19).validation[-1]
        with pytest.raises(InputError, match="18 validation images: a threshold that keeps 95 % needs at least 19"):
            fitted(v=18)

    def test_new_images_are_refused_about_as_often_as_it_says(self):
        random = np.random.RandomState(3)
        training, validation, new = (random.rand(n, 6).astype(np.float32) for n in (400, 400, 4000))
        novelty = fitted(n=400, v=400, keep=0.9, training=training, validation=validation)
        refused = np.mean([novelty.likeness(row[None]).unlike for row in new])
        assert abs(refused - 0.1) < 0.05

    def test_is_not_there_where_all_features_are_the_same(self):
        same = np.ones((60, 8), np.float32)
        with pytest.raises(InputError, match="the features of all images are the same"):
            fitted(training=same, validation=np.ones((120, 8), np.float32))


class TestLikeness:
    def test_is_of_the_mean_of_the_crops(self):
        novelty, crops = fitted(), np.random.RandomState(5).rand(10, 8).astype(np.float32)
        found = novelty.likeness(crops)
        direction = unit_length(crops.mean(axis=0)[None])
        far = np.sort(np.linalg.norm(novelty.reference - direction, axis=1))[2]
        assert math.isclose(found.distance, far, rel_tol=1e-6)
        assert found.above_training == (novelty.training < np.float32(far)).mean()
        assert found.above_validation == (novelty.validation < np.float32(far)).mean()
        spread = np.sqrt(np.mean(np.sum((unit_length(crops) - unit_length(crops).mean(axis=0)) ** 2, axis=1)))
        assert math.isclose(found.spread, spread, rel_tol=1e-5)
        assert found.unlike == (far > novelty.threshold)

    def test_of_the_centre_alone_where_the_training_images_were_seen_so(self):
        novelty = fitted(protocol={**PROTOCOL, "crops": 1})
        crops = np.random.RandomState(5).rand(10, 8).astype(np.float32)
        assert novelty.likeness(crops).distance == novelty.likeness(crops[4:5]).distance
        assert novelty.likeness(crops[4:5]).spread is None and novelty.likeness(crops).spread > 0

    def test_equal_crops_have_no_spread_and_a_dead_net_is_far_from_all(self):
        novelty = fitted()
        assert novelty.likeness(np.ones((10, 8), np.float32)).spread < 1e-6
        dead = novelty.likeness(np.zeros((10, 8), np.float32))
        assert dead.unlike and math.isclose(dead.distance, 1, rel_tol=1e-3)

    def test_ordinals(self):
        numbers = (1, 2, 3, 4, 11, 12, 13, 21, 112)
        assert [ordinal(n) for n in numbers] == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]


class TestFile:
    def test_says_the_same_after_a_round_trip(self, tmp_path):
        novelty, crops = fitted(), np.random.RandomState(5).rand(10, 8).astype(np.float32)
        for name in ("n.npz", "again.npz"):
            write_novelty(tmp_path / name, novelty)
        found = read_novelty(tmp_path / "n.npz")
        assert found.likeness(crops) == novelty.likeness(crops) and record_of(found) == record_of(novelty)
        assert (tmp_path / "n.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"features": np.ones((3, 2), np.float32)}, r"features is \(3, 2\) float32, where \(M, D\) float16"),
            ({"features": np.full((60, 8), np.nan, np.float16)}, "or that is no number"),
            ({"training": np.array([2, 1], np.float32)}, "training has no ascending distances"),
            ({"validation": np.array([np.nan], np.float32)}, "validation has no ascending distances"),
            ({"validation": np.ones(18, np.float32)}, "not a whole one"),
            ({"record": np.array(json.dumps({"k": 1}))}, "not a skinmtl novelty, version 1"),
        ],
    )
    def test_a_damaged_one_is_refused(self, tmp_path, change, words):
        write_novelty(tmp_path / "n.npz", fitted())
        with np.load(str(tmp_path / "n.npz")) as file:
            arrays = {**file, **change}
        np.savez(str(tmp_path / "n.npz"), **arrays)
        with pytest.raises(InputError, match=f"n.npz: .*{words}"):
            read_novelty(tmp_path / "n.npz")


def write_set(path, names, seed, subset, **protocol):
    """A features file of images with one lesion and one place."""
    random, count = np.random.RandomState(seed), len(names)
    trained = {**UNSEEN, "images": count, "trained": count if subset == "train" else 0}
    features = Features(
        image=names,
        features=random.rand(count, 6).astype(np.float32),
        lesion_labels=np.ones((count, 1), np.uint8),
        lesion_names=["naevus"],
        location_labels=np.zeros(count, np.int64),
        location_names=["arm"],
        protocol={**PROTOCOL, "arguments": {"subset": subset}, "trained_on": trained, **protocol},
    )
    write_features(path, features)
    return features


class TestTool:
    @pytest.fixture
    def novelty(self, tool, tmp_path):
        """Runs novelty.py on 40 training and 30 validation images."""
        self.training = write_set(tmp_path / "t.npz", [f"t{n}.jpg" for n in range(40)], 1, "train")
        write_set(tmp_path / "v.npz", [f"v{n}.jpg" for n in range(30)], 2, "validation")
        lines = [
            f"{part}{n}.jpg,naevus,arm,{part}{n // 4}" for part, count in (("t", 40), ("v", 30)) for n in range(count)
        ]
        (tmp_path / "m.csv").write_text("\n".join(["image,lesions,location,group", *lines, ""]))
        files = ("--features", tmp_path / "t.npz", "--validation-features", tmp_path / "v.npz")
        return lambda *more: tool("novelty.py", *files, "--keep", 0.9, "--out", tmp_path / "n.npz", *more)

    def test_patients_of_the_manifest_are_kept_apart(self, novelty, tmp_path):
        done = novelty("--manifest", tmp_path / "m.csv", "--k", 2)
        assert done.returncode == 0 and "note:" not in done.stdout, done
        found = read_novelty(tmp_path / "n.npz")
        rows, groups = unit_length(self.training.features), np.arange(40) // 4
        assert np.allclose(found.training, np.sort(slow_distances(found.reference, groups, rows, groups, 2)), atol=1e-6)
        assert (found.fitted_on, found.k, len(found.reference)) == ("validation images", 2, 40)
        assert found.made["n_groups"] == 10 and found.crops == 10
        with np.load(str(tmp_path / "n.npz")) as file:
            record = json.loads(file["record"].item())
        assert record["arguments"]["k"] == 2 and record["versions"]["skinmtl"]
        assert "t0.jpg" not in json.dumps(record), "no names of images"
        assert (
            f"threshold {found.threshold:.4g}, to keep 90 % of images like these; it refuses {found.refused} of the 30"
            in (done.stdout)
        )

    def test_what_it_cannot_vouch_for_it_says(self, novelty, tmp_path):
        assert "which images are of one patient is not known" in novelty().stdout
        told = novelty("--reference", 25, "--seed", 3, "--overwrite").stdout
        assert "25 of 40 training images are kept, drawn by seed 3" in told
        assert len(read_novelty(tmp_path / "n.npz").training) == 40
        write_set(tmp_path / "v.npz", [f"v{n}.jpg" for n in range(30)], 2, "test")
        assert "these are the test images" in novelty("--overwrite").stdout
        write_set(tmp_path / "v.npz", [f"v{n}.jpg" for n in range(30)], 2, None)
        assert "nothing says that these are validation images" in novelty("--overwrite").stdout
        write_set(tmp_path / "t.npz", self.training.image, 1, "validation")
        assert "only 0 of the 40 images" in novelty("--overwrite").stdout

    @pytest.mark.parametrize(
        "names, subset, protocol, words",
        [
            (["v0.jpg"] * 1, "validation", {}, "1 validation images: a threshold that keeps 90 % needs at least 9"),
            (["t3.jpg", "t4.jpg"], "validation", {}, "'t3.jpg' and 1 more: in"),
            ([f"v{n}.jpg" for n in range(20)], "train", {}, "20 of its images were trained on"),
            ([f"v{n}.jpg" for n in range(20)], "validation", {"weights_sha256": "b"}, "weights_sha256 is b, where the"),
            (
                [f"v{n}.jpg" for n in range(20)],
                "validation",
                {"crops": 1},
                "crops is 1, where the training images have 10",
            ),
        ],
    )
    def test_files_that_do_not_go_together_are_one_line(
        self, novelty, refused, tmp_path, names, subset, protocol, words
    ):
        write_set(tmp_path / "v.npz", names, 2, subset, **protocol)
        refused(novelty(), words, "v.npz")
        assert not (tmp_path / "n.npz").exists()

    def test_a_manifest_of_other_images_and_too_few_patients(self, novelty, refused, tmp_path):
        (tmp_path / "m.csv").write_text("image,lesions,location\nx.jpg,naevus,arm\n")
        refused(novelty("--manifest", tmp_path / "m.csv"), "has no 't0.jpg' of", "give the manifest of both")
        refused(novelty("--k", 40), "fewer than 40 training images of other patients")

    def test_wrong_usage(self, tmp_path):
        files = ["--features", "f.npz", "--validation-features", "v.npz"]
        lines = [
            ["--features", "f.npz", "--out", "n.npz"],
            [*files, "--out", "n.json"],
            [*files, "--out", "n.npz", "--keep", "0"],
            [*files, "--out", "n.npz", "--keep", "1"],
            [*files, "--out", "n.npz", "--group-column", "patient"],
        ]
        words = ("--validation-features", "must end in .npz", "would name nothing", "to below 1", "is of a --manifest")
        for line, said in zip(usage_errors("novelty", lines, tmp_path), words):
            assert said in line


def test_a_novelty_needs_no_more_than_its_arrays():
    """So that one can be made in another program."""
    novelty = Novelty(
        np.eye(3, dtype=np.float32), np.zeros(3, np.float32), np.ones(9, np.float32), 1, 0.9, PROTOCOL, "x"
    )
    assert novelty.threshold == 1 and novelty.refused == 0
    assert novelty.likeness(np.array([[0, 0, 2]], np.float32)).distance == 0
