"""score.py --external: the net's outputs by its own names, the labels of another data set by theirs."""

from __future__ import annotations

import numpy as np
import pytest

from skinmtl.data.manifest import read_manifest
from skinmtl.data.seen import images_of_another_set
from skinmtl.scores.external_file import read_external
from skinmtl.scores.scores_file import read_scores

LESIONS = [("MEL", "NV"), ("NV",), ("BCC",), ("MEL",), ("NV", "BCC"), ("DF",), ("DF",), ("NV",)]


@pytest.fixture
def manifest(tmp_path):
    """Of the test images as those of another clinic: other lesions, no locations, groups that are numbers too."""
    rows = [f"{number}.jpg,{';'.join(names)},{number}" for number, names in enumerate(LESIONS)]
    (tmp_path / "other.csv").write_text("\n".join(["image,lesions,group", *rows]) + "\n")
    return tmp_path / "other.csv"


@pytest.mark.caffe
def test_the_file_has_the_outputs_of_the_net_and_the_labels_of_the_data(
    run_on_test_fold, refused, tiny_model, manifest, tmp_path
):
    flags = {"manifest": manifest, "folds": None, "fold": None, "subset": None}
    asked = ("--external", "--trained-on", tiny_model.data.train)
    done = run_on_test_fold("score.py", tmp_path / "e.npz", *asked, **flags)
    assert done.returncode == 0, done.stderr
    told = "lesions of the net: crust, nodule, scar; of the data: BCC, DF, MEL, NV; evaluate.py --label-map says which"
    assert told in done.stdout
    read = read_external(tmp_path / "e.npz")
    own = run_on_test_fold("score.py", tmp_path / "s.npz")
    assert own.returncode == 0, own.stderr
    scores = read_scores(tmp_path / "s.npz")
    assert read.image == scores.image
    for head in ("lesion", "location"):
        assert np.array_equal(read.scores[head], getattr(scores, f"{head}_scores"))
        assert read.names[head] == getattr(scores, f"{head}_names")
    assert read.data_names == {"lesion": ["BCC", "DF", "MEL", "NV"]}
    assert np.array_equal(read.data_labels["lesion"], read_manifest(manifest).lesion_labels())
    assert read.protocol["trained_on"]["trained"] == 0
    without = run_on_test_fold("score.py", tmp_path / "o.npz", **flags)
    assert without.returncode == 1 and "--external" in without.stderr


@pytest.mark.caffe
def test_images_that_were_trained_on_are_refused_and_numbers_are_no_ids(
    run_on_test_fold, refused, tiny_model, manifest, tmp_path
):
    asked = ("--external", "--trained-on", tiny_model.data.test)
    flags = {"manifest": manifest, "folds": None, "fold": None, "subset": None}
    done = run_on_test_fold("score.py", tmp_path / "e.npz", *asked, **flags)
    refused(done, "8 of the 8 images were trained on")
    assert not (tmp_path / "e.npz").exists()


def test_groups_and_numbers_of_other_data_say_nothing_of_the_trainings(manifest):
    (manifest.parent / "named.csv").write_text("image,lesions,group\na/ISIC_0000001.jpg,NV,p1\na/17.jpg,NV,p1\n")
    images = images_of_another_set(read_manifest(manifest.parent / "named.csv"), manifest.parent)
    assert [(image.name, image.group) for image in images] == [("a/ISIC_0000001.jpg", ""), ("", "")]
