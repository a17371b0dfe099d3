"""What a net was trained on: a list without names, and which of other images are on it."""

from __future__ import annotations

import json
import shutil
import unicodedata

import pytest

from caffe_files.errors import InputError
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.seen import UNKNOWN, Image, images_of, limits, marks, n_trained, require_unseen, seen
from skinmtl.data.trained_on import TrainedOn, group_digest, name_digest, read_trained_on
from skinmtl.data.trained_on import images_of as listed

COUNTS = ("trained", "watched", "same_name", "same_group")


@pytest.fixture
def data(make_dataset, tmp_path):
    """Nine images of patients 0, 0, 1, 1, 2, 2, ...; LMDBs of the first three, and of the fourth."""
    made = make_dataset(9)
    lines = made.manifest.read_text().splitlines(True)
    for name, rows in (("fit", lines[1:4]), ("watched", lines[4:5])):
        part = made.folder / f"{name}.csv"
        part.write_text("".join([lines[0], *rows]))
        write_lmdbs(read_manifest(part), made.images, tmp_path / name, Sizes(48, 48, 1), 1, 1, {})
    return made


@pytest.fixture
def trained_on(data, tmp_path):
    training, groups = listed(tmp_path / "fit")
    return TrainedOn(
        {"training": training, "validation": listed(tmp_path / "watched")[0], "earlier": []}, groups, "none"
    )


def counts(trained_on, images):
    record = seen(trained_on, images)
    return tuple(record[name] for name in COUNTS)


def test_each_image_is_counted_once_by_how_the_net_has_seen_it(data, trained_on):
    images = images_of(read_manifest(data.manifest), data.images)
    # 0 to 2 trained on, 3 watched and of the patient of 2; no other of patients 0 and 1
    assert counts(trained_on, images) == (3, 1, 0, 0)
    assert counts(trained_on, images[4:]) == (0, 0, 0, 0)


def test_another_image_of_a_patient_is_told_apart(data, trained_on):
    other = data.images / "another.jpg"
    other.write_bytes(b"of patient 1")
    assert counts(trained_on, [Image(other, name="another.jpg", group="1")]) == (0, 0, 0, 1)


def test_a_copy_under_another_name_is_known_by_its_contents(data, trained_on, tmp_path):
    shutil.copyfile(str(data.images / "image 1.jpg"), str(tmp_path / "x.png"))
    assert counts(trained_on, [Image(tmp_path / "x.png", name="x.png")]) == (1, 0, 0, 0)
    assert counts(trained_on, [Image(None, (tmp_path / "x.png").read_bytes())]) == (1, 0, 0, 0)


@pytest.mark.parametrize("spelling", ["image 1.jpg", "./image 1.jpg", ".//image 1.jpg", ".\\image 1.jpg"])
def test_an_image_saved_anew_is_known_by_its_name_however_spelt(data, trained_on, spelling):
    (data.images / "image 1.jpg").write_bytes(b"resized")
    assert counts(trained_on, [Image(data.images / "image 1.jpg", name=spelling)]) == (0, 0, 1, 0)


def test_both_unicode_forms_are_one_name():
    assert name_digest(unicodedata.normalize("NFD", "Hände/ü.jpg")) == name_digest("Hände/ü.jpg")
    assert name_digest("a.jpg") != name_digest("A.jpg")
    assert group_digest("Patient\u00a0 A\u0308") == group_digest("Patient \u00c4")


def test_of_data_from_before_contents_were_kept_names_decide(data, tmp_path):
    for name in ("fit", "watched"):
        path = tmp_path / name / "records.csv"
        path.write_text("".join(f"{','.join(line.split(',')[:4])}\n" for line in path.read_text().splitlines()))
    training, groups = listed(tmp_path / "fit")
    old = TrainedOn({"training": training, "validation": [], "earlier": []}, groups, "none")
    record = seen(old, images_of(read_manifest(data.manifest), data.images))
    assert (record["trained"], record["compared"]) == (3, "names")
    assert "by name alone" in limits(record)[0]
    assert seen(old, [Image(data.images / "image 1.jpg")]) == UNKNOWN  # a photograph without an id
    assert old.for_publishing() is None


def test_what_an_earlier_training_saw_was_trained_on_too(data, trained_on):
    earlier = TrainedOn({**trained_on.images, "training": [], "earlier": trained_on.images["training"]}, [], "recorded")
    assert counts(earlier, images_of(read_manifest(data.manifest), data.images)) == (3, 1, 0, 0)


def test_the_list_has_no_names_and_the_published_one_nothing_to_guess_names_by(trained_on, tmp_path):
    (tmp_path / "list.json").write_text(trained_on.text())
    assert read_trained_on(tmp_path / "list.json") == trained_on
    assert "image 1" not in trained_on.text()
    published = trained_on.for_publishing()
    assert name_digest("image 1.jpg") in trained_on.text()
    assert name_digest("image 1.jpg") not in published.text()
    assert published.groups == []
    assert [len(published.images[role]) for role in ("training", "validation")] == [3, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(format="other"),
        lambda record: record.update(training=[["a", 1]]),
        lambda record: record.update(training="a"),
        lambda record: record.update(groups=[1]),
        lambda record: record.update(starting_weights="good"),
        lambda record: record.pop("validation"),
    ],
)
def test_a_list_that_is_none_is_refused(trained_on, tmp_path, change):
    record = json.loads(trained_on.text())
    change(record)
    (tmp_path / "list.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"list\.json: .*; restore it, or train anew"):
        read_trained_on(tmp_path / "list.json")


def test_trained_images_are_refused_with_counts_or_allowed_and_marked(data, trained_on):
    record = seen(trained_on, images_of(read_manifest(data.manifest), data.images))
    with pytest.raises(InputError) as refused:
        require_unseen(record, "final.caffemodel", allowed=False)
    assert str(refused.value) == (
        "final.caffemodel: 3 of the 9 images were trained on; 1 of the 9 images was watched in training, for "
        "validation: figures of them say nothing about new images; take images that were left out of the training, or "
        "give --allow-trained, which is then noted beside every figure"
    )
    require_unseen(record, "final.caffemodel", allowed=True)
    assert record["allowed"]


def test_validation_images_may_be_scored_and_are_marked(data, trained_on):
    record = seen(trained_on, images_of(read_manifest(data.manifest), data.images)[3:])
    require_unseen(record, "final.caffemodel", allowed=False)
    assert marks({"trained_on": record}) == ["1 of the 6 images was watched in training, for validation"]


def test_of_one_image_there_is_nothing_to_count(data, trained_on):
    record = seen(trained_on, images_of(read_manifest(data.manifest), data.images)[:1])
    assert marks({"trained_on": record}) == ["the image was trained on"]


def test_marks_of_an_ensemble_name_the_file(trained_on, data):
    record = seen(trained_on, images_of(read_manifest(data.manifest), data.images)[:3])
    sources = [{"file": "a.npz", "protocol": {"trained_on": record}}, {"file": "b.npz", "protocol": {}}]
    assert marks({"ensemble": "maximum", "sources": sources}) == [
        "a.npz: 3 of the 3 images were trained on",
        "b.npz: whether these images were trained on is not recorded",
    ]
    assert n_trained({"sources": sources}) == 3


@pytest.mark.parametrize(
    "protocol", [None, {}, {"trained_on": UNKNOWN}, {"trained_on": {"images": "9"}}, {"sources": [1]}]
)
def test_what_a_protocol_does_not_say_is_not_taken_for_well(protocol):
    assert marks(protocol) == ["whether these images were trained on is not recorded"]
    assert n_trained(protocol) == 0
