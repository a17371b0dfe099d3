"""Neighbours: those of all distances in float64, whatever the values; and tables that a reader can check by hand."""

from __future__ import annotations

import csv
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinmtl.explanation import neighbours
from skinmtl.explanation.features_file import Features, read_features, write_features
from skinmtl.explanation.neighbours import nearest

PROTOCOL = {"blob": "pool5", "short_side": 256, "crops": 1, "weights_sha256": "0"}


def all_distances(features, queries, k):
    """The slow way: every pair in float64, a stable sort."""
    squared = ((queries.astype(np.float64)[:, None] - features.astype(np.float64)) ** 2).sum(axis=2)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.sqrt(np.take_along_axis(squared, order, axis=1))


def check(features, queries, k):
    indices, distances = nearest(features, queries, k)
    expected, expected_distances = all_distances(features, queries, k)
    assert np.array_equal(indices, expected)
    assert np.allclose(distances, expected_distances, rtol=1e-12)
    assert indices.shape == distances.shape == (len(queries), min(k, len(features)))


@given(
    n=st.integers(1, 40),
    m=st.integers(0, 12),
    size=st.integers(1, 9),
    k=st.integers(1, 45),
    values=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_many_equal_distances_stand_in_the_order_of_their_indices(n, m, size, k, values, seed):
    """Small whole numbers, so that sums are exact, and rows are alike more often than not."""
    random = np.random.RandomState(seed)
    rows = random.randint(0, values + 1, (n + m, size)).astype(np.float32)
    check(rows[:n], rows[n:], k)


@given(
    offset=st.sampled_from([0, 1, 1000, -1e5]),
    scale=st.sampled_from([1e-30, 1e-22, 1e-20, 1e-3, 1, 1e6]),
    size=st.integers(1, 200),
    seed=st.integers(0, 1000),
)
def test_neighbours_are_right_where_float32_products_cancel(offset, scale, size, seed):
    random = np.random.RandomState(seed)
    rows = (offset + random.randn(60, size) * scale).astype(np.float32)
    check(rows[:50], rows[50:], 5)


def test_a_plain_float32_product_would_be_wrong_there():
    """So that the test above is one: rows that differ in their last bits only."""
    rows = (1000 + np.random.RandomState(1).randn(60, 100) * 1e-3).astype(np.float32)
    features, queries = rows[:50], rows[50:]
    plain = (features**2).sum(axis=1) - 2 * queries @ features.T
    assert not np.array_equal(np.argsort(plain, axis=1)[:, :5], all_distances(features, queries, 5)[0])


@pytest.mark.parametrize(("products", "differences"), [(1, 1), (100, 7), (170, 64)])
def test_the_size_of_the_steps_changes_nothing(monkeypatch, products, differences):
    monkeypatch.setattr(neighbours, "PRODUCTS", products)
    monkeypatch.setattr(neighbours, "DIFFERENCES", differences)
    rows = np.random.RandomState(1).randint(0, 3, (70, 5)).astype(np.float32)
    check(rows[:50], rows[50:], 6)


def test_rows_that_are_slices_of_something_else_are_taken_as_they_are():
    rows = np.random.RandomState(1).rand(20, 40)
    features, queries = rows[::2, ::4], rows[1::2, 1::4]
    assert np.array_equal(nearest(features, queries, 3)[0], all_distances(features, queries, 3)[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e16])
def test_values_without_a_distance_are_refused(value):
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = value
    with pytest.raises(ValueError, match="no number"):
        nearest(rows, np.ones((1, 3), np.float32), 2)
    with pytest.raises(ValueError, match="no number"):
        nearest(np.ones((1, 3), np.float32), rows, 2)


def test_the_memory_does_not_grow_with_the_number_of_pairs():
    random = np.random.RandomState(1)
    features, queries = random.rand(20000, 16).astype(np.float32), random.rand(1500, 16).astype(np.float32)
    tracemalloc.start()
    nearest(features, queries, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6 < 4 * len(features) * len(queries)


def write_set(path, images, seed, **changes):
    """A features file of `images` with drawn labels; returns it."""
    random = np.random.RandomState(seed)
    lesion_labels = random.randint(0, 2, (len(images), 3)).astype(np.uint8)
    lesion_labels[:, 0] |= ~lesion_labels.any(axis=1)
    fields = {
        "image": images,
        "features": random.rand(len(images), 4).astype(np.float32),
        "lesion_labels": lesion_labels,
        "lesion_names": ["crust", "nodule", "scar"],
        "location_labels": random.randint(0, 2, len(images)),
        "location_names": ["arm", "leg"],
        "protocol": PROTOCOL,
    }
    write_features(path, Features(**{**fields, **changes}))
    return read_features(path)


@pytest.fixture
def sets(tmp_path):
    training = write_set(tmp_path / "train.npz", [f"train/{n}.jpg" for n in range(20)], 1)
    queries = write_set(tmp_path / "test.npz", ["a, b.jpg", 'c "d".jpg', "ü.jpg", "e.jpg", "f.jpg", "g.jpg"], 2)
    return training, queries


@pytest.fixture
def retrieve(tool, tmp_path):
    def run(*more, queries="test.npz"):
        return tool(
            "retrieve.py",
            *("--features", tmp_path / "train.npz"),
            *("--queries", tmp_path / queries),
            *("--out", tmp_path / "n.csv"),
            *more,
        )

    return run


def labels_of(features):
    lesions = [{name for name, has in zip(features.lesion_names, row) if has} for row in features.lesion_labels]
    return {
        name: (lesions[n], features.location_names[features.location_labels[n]])
        for n, name in enumerate(features.image)
    }


def test_the_table_has_each_querys_neighbours_and_what_they_share(sets, retrieve, tmp_path):
    done = retrieve("--k", 4, "--json", tmp_path / "n.json")
    assert done.returncode == 0, done.stderr
    training, queries = sets
    indices, distances = all_distances(training.features, queries.features, 4)
    truth, asked = labels_of(training), labels_of(queries)
    with open(str(tmp_path / "n.csv"), encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["query", "rank", "neighbour", "distance", "shared_lesion", "shared_location"]
    assert [(line["query"], int(line["rank"])) for line in lines] == [
        (q, r) for q in queries.image for r in range(1, 5)
    ]
    assert [line["neighbour"] for line in lines] == [training.image[n] for n in indices.ravel()]
    assert np.allclose([float(line["distance"]) for line in lines], distances.ravel(), rtol=1e-8)
    hits = {"lesion": [], "location": [], "either": []}
    for line in lines:
        lesion = bool(asked[line["query"]][0] & truth[line["neighbour"]][0])
        location = asked[line["query"]][1] == truth[line["neighbour"]][1]
        assert (line["shared_lesion"], line["shared_location"]) == (str(int(lesion)), str(int(location)))
        for kind, shares in zip(hits, (lesion, location, lesion or location)):
            hits[kind].append(shares)
    figures = json.loads((tmp_path / "n.json").read_text())
    pairs = [(asked[q], truth[n]) for q in asked for n in truth]
    chance = [[bool(a[0] & b[0]), a[1] == b[1], bool(a[0] & b[0]) or a[1] == b[1]] for a, b in pairs]
    assert np.allclose(list(figures["chance"].values()), np.mean(chance, axis=0))
    for kind, shares in hits.items():
        shares = np.reshape(shares, (6, 4))
        assert np.allclose(figures["precision"][kind], [shares[:, :r].mean() for r in (1, 2, 3, 4)])
        assert f"{shares.mean():.3f}" in done.stdout
    assert (figures["n_queries"], figures["n_training"], figures["k"], figures["n_same"]) == (6, 20, 4, 0)
    assert len(figures["sha256"]) == 2


def test_with_fewer_training_images_than_asked_for_all_of_them_stand_there(sets, retrieve, tmp_path):
    done = retrieve("--k", 50)
    assert done.returncode == 0, done.stderr
    assert "20 neighbours of each of 6 queries" in done.stdout
    assert len((tmp_path / "n.csv").read_text(encoding="utf-8").splitlines()) == 1 + 6 * 20


def test_a_picture_that_is_in_both_sets_under_two_names_is_counted(sets, retrieve, tmp_path):
    training, queries = sets
    features = queries.features.copy()
    features[3] = training.features[7]
    write_set(tmp_path / "test.npz", queries.image, 2, features=features)
    assert "1 neighbours at distance 0" in retrieve().stdout


def test_an_image_that_would_find_itself_is_refused(sets, retrieve, refused, tmp_path):
    write_set(tmp_path / "other.npz", ["a.jpg", "train/3.jpg", "train/4.jpg"], 3)
    refused(retrieve(queries="other.npz"), "other.npz: 'train/3.jpg' and 1 more", "train.npz", "would find themselves")
    refused(retrieve(queries="train.npz"), "'train/0.jpg' and 19 more")
    assert not (tmp_path / "n.csv").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": {**PROTOCOL, "weights_sha256": "1"}}, "weights_sha256 is 1, where the training images have 0"),
        ({"protocol": {**PROTOCOL, "short_side": 73, "weights_sha256": "1"}}, "short_side is 73"),
        ({"protocol": {}}, "blob is None"),
        ({"lesion_names": ["crust", "scar", "nodule"]}, "lesion_names other than in"),
        ({"location_names": ["arm", "leg", "foot"]}, "location_names other than in"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(sets, retrieve, refused, tmp_path, changes, said):
    write_set(tmp_path / "other.npz", ["a.jpg", "b.jpg"], 3, **changes)
    refused(retrieve(queries="other.npz"), "other.npz: ", said, "train.npz")


def test_where_the_summary_cannot_be_written_no_table_is_left_behind(sets, retrieve, refused, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    refused(retrieve("--json", tmp_path / "test.npz" / "n.json"), tmp_path / "test.npz" / "n.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_files_that_are_none_and_flags_that_do_not_go_together(sets, retrieve, refused, tool, tmp_path):
    (tmp_path / "cut.npz").write_bytes((tmp_path / "test.npz").read_bytes()[:900])
    refused(retrieve(queries="cut.npz"), "cut.npz: not a whole .npz file")
    refused(retrieve(queries="none.npz"), "none.npz: cannot be read")
    (tmp_path / "n.csv").mkdir()
    refused(retrieve(), "n.csv", "is no file")
    features = ("--features", tmp_path / "train.npz")
    for flags in (
        ("--queries", tmp_path / "test.npz"),
        ("--query", "a.jpg"),
        ("--queries", tmp_path / "test.npz", "--out", tmp_path / "test.npz"),
        ("--queries", tmp_path / "test.npz", "--out", tmp_path / "x.csv", "--deploy", "d.prototxt"),
    ):
        assert tool("retrieve.py", *features, *flags).returncode == 2, flags


@pytest.fixture(scope="module")
def extracted(tool, tiny_model, tmp_path_factory):
    """Features of the small set's two subsets."""
    folder = tmp_path_factory.mktemp("features")
    data = tiny_model.data
    for subset in ("train", "test"):
        done = tool(
            "extract_features.py",
            *("--deploy", tiny_model.deploy, "--weights", tiny_model.snapshot, "--manifest", data.manifest),
            *("--images", data.images, "--folds", data.folds, "--fold", 0, "--subset", subset, "--short-side", 72),
            *("--workers", 1, "--out", folder / f"{subset}.npz"),
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.caffe
def test_one_image_finds_what_it_finds_among_all_queries(extracted, tool, tiny_model, tmp_path):
    features = ("--features", extracted / "train.npz")
    assert (
        tool("retrieve.py", *features, "--queries", extracted / "test.npz", "--out", tmp_path / "a.csv").returncode == 0
    )
    images = [tiny_model.data.images / name for name in ("3.jpg", "20.jpg")]  # the second is a training image
    net = ("--deploy", tiny_model.deploy, "--weights", tiny_model.snapshot)
    done = tool("retrieve.py", *features, *net, "--query", images[0], "--query", images[1], "--out", tmp_path / "b.csv")
    assert done.returncode == 0, done.stderr
    with open(str(tmp_path / "a.csv")) as one, open(str(tmp_path / "b.csv")) as other:
        among_all = [line for line in csv.DictReader(one) if line["query"] == "3.jpg"]
        alone = list(csv.DictReader(other))
    assert [line["neighbour"] for line in alone[:5]] == [line["neighbour"] for line in among_all]
    assert np.allclose(*([float(line["distance"]) for line in some[:5]] for some in (alone, among_all)), rtol=1e-4)
    assert {line["shared_lesion"] + line["shared_location"] for line in alone} == {""}
    assert (alone[5]["neighbour"], float(alone[5]["distance"])) == ("20.jpg", pytest.approx(0, abs=1e-4))
    assert done.stdout.count(among_all[0]["neighbour"]) >= 1


@pytest.mark.caffe
def test_one_image_with_another_net_or_no_image_is_refused(extracted, tool, tiny_model, tmp_path, refused):
    def run(query, deploy=tiny_model.deploy, features=extracted / "train.npz"):
        net = ("--deploy", deploy, "--weights", tiny_model.snapshot)
        return tool("retrieve.py", "--features", features, *net, "--query", query)

    image = tiny_model.data.images / "3.jpg"
    other = tmp_path / "deploy.prototxt"
    other.write_text(tiny_model.deploy.read_text() + "# changed\n")
    refused(run(image, deploy=other), "net_sha256 is", "train.npz")
    refused(run(tmp_path / "none.jpg"), "none.jpg: cannot be read")
    refused(run(tiny_model.deploy), "deploy.prototxt: not an image")
    write_set(tmp_path / "bare.npz", ["a.jpg"], 1, protocol={})
    refused(run(image, features=tmp_path / "bare.npz"), "bare.npz: its protocol has no mean")
