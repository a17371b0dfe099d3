"""The list of a run's images: found by its weights, carried on from run to run, never taken on trust."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.trained_on import FILE
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.trained_images import (
    gathered,
    going_on,
    of_net,
    of_run,
    of_weights,
    record_of,
    watched_and_trained,
    write_trained_on,
)
from skinmtl.training.trained_net import TrainedNet

RECORD = {"settings": {}, "sha256": {}}


@pytest.fixture
def new_run(small_set, tmp_path):
    """Makes a run's folder with an args.json, the list, and weights by three names."""

    def make(name="run", weights=(), **changes):
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        trained_on = gathered(small_set.train, small_set.test, weights)
        folder.write_args({**RECORD, "trained_on": record_of(trained_on), **changes})
        write_trained_on(folder, trained_on)
        for path in (folder.final, folder.best, folder.snapshots / "net_iter_5.caffemodel"):
            path.write_bytes(b"weights")
        return folder

    return make


def test_final_best_and_snapshots_lead_to_the_runs_list_and_links_too(new_run, tmp_path):
    folder = new_run()
    (tmp_path / "link.caffemodel").symlink_to(folder.final)
    for path in (folder.final, folder.best, folder.snapshots / "net_iter_5.caffemodel", tmp_path / "link.caffemodel"):
        found = of_weights(path)
        assert [len(found.images[role]) for role in ("training", "validation", "earlier")] == [16, 8, 0]
        assert found.start == "none"


def test_a_copy_of_the_weights_is_known_by_the_run_beside_its_net(new_run, tmp_path):
    folder = new_run()
    copy = tmp_path / "elsewhere" / "copy.caffemodel"
    copy.parent.mkdir()
    copy.write_bytes(folder.final.read_bytes())
    net = TrainedNet(tmp_path / "net" / "deploy.prototxt", copy)
    assert len(of_net(net).images["training"]) == 16
    assert len(of_net(TrainedNet(copy.with_name("deploy.prototxt"), copy, run=folder.path)).images["training"]) == 16
    copy.write_bytes(b"changed")
    assert of_net(net) is None


def test_of_weights_from_elsewhere_nothing_is_known(tmp_path):
    (tmp_path / "foreign.caffemodel").write_bytes(b"")
    (tmp_path / "args.json").write_text('{"of": "another program"}')
    assert of_weights(tmp_path / "foreign.caffemodel") is None


def test_a_run_that_begins_with_weights_of_a_run_has_seen_its_images_too(new_run, small_set, tmp_path):
    first = new_run("first")
    second = new_run("second", [first.final])
    found = gathered(small_set.test, small_set.test, [second.final])
    assert len(found.images["earlier"]) == 16
    assert found.start == "recorded"
    assert watched_and_trained(replace(found, images={**found.images, "training": []})) == []
    swapped = gathered(small_set.test, small_set.train, [second.final])
    assert watched_and_trained(swapped) == [
        "note: 16 of the 16 validation images were trained on by the weights that it begins with: what is watched is "
        "too good"
    ]
    foreign = tmp_path / "imagenet.caffemodel"
    foreign.write_bytes(b"")
    assert gathered(small_set.test, small_set.test, [second.final, foreign]).start == "not recorded"


def test_validation_images_that_are_trained_on_under_another_name_are_told(small_set):
    found = gathered(small_set.train, small_set.test, [])
    assert watched_and_trained(found) == []
    copy = found.images["validation"][0]
    images = {**found.images, "training": [*found.images["training"], copy._replace(name="of another patient")]}
    assert watched_and_trained(replace(found, images=images)) == [
        "note: 1 of the 8 validation images is among the training images too, under another name: what is watched is "
        "too good"
    ]


def test_a_list_that_is_gone_or_changed_is_refused(new_run):
    folder = new_run()
    path = folder.path / FILE
    text = path.read_text()
    lines = text.splitlines(True)
    path.write_text("".join(line for n, line in enumerate(lines) if n != 5))
    with pytest.raises(InputError, match=f"{FILE}: changed since it was made; restore it"):
        of_weights(folder.final)
    path.unlink()
    with pytest.raises(InputError, match=f"{FILE}: missing, though the net was trained with one"):
        of_weights(folder.final)


def test_a_run_from_before_there_were_lists_is_known_by_its_data(new_run, small_set):
    data = {"training": str(small_set.train), "validation": str(small_set.test)}
    sums = {f"{name} dataset.json": sha256(small_set.train.parent / at / "dataset.json")
            for name, at in (("training", "train"), ("validation", "test"))}  # fmt: skip
    folder = new_run(trained_on=None, data=data, sha256=sums)
    (folder.path / FILE).unlink()
    assert len(of_run(folder.path).images["training"]) == 16
    args = json.loads(folder.args.read_text())
    args["sha256"]["training dataset.json"] = "of other data"
    folder.args.write_text(json.dumps(args))
    assert of_run(folder.path) is None


def test_a_run_goes_on_with_the_list_that_it_was_begun_with(new_run, small_set, tmp_path):
    first = new_run("first")
    second = new_run("second", [first.final])
    shutil.rmtree(str(first.path))
    begun = going_on(second, gathered(small_set.train, small_set.test, [first.final]))
    assert record_of(begun) == second.read_args()["trained_on"]
    with pytest.raises(InputError, match="was begun with other training images than its data have now"):
        going_on(second, gathered(small_set.test, small_set.test, []))


def test_a_run_killed_before_its_list_was_written_has_it_made_again(new_run, small_set):
    folder = new_run()
    (folder.path / FILE).unlink()
    now = gathered(small_set.train, small_set.test, [])
    assert going_on(folder, now) == now


@pytest.mark.parametrize("name", ["net.json", "deploy.prototxt"])
def test_a_changed_file_of_the_net_is_told_but_not_of_a_run_from_before_its_sum_was_kept(new_run, name):
    now = {"settings": {"max_iter": 1, "engine": "caffe", "precision": "fp32"}, "sha256": {name: "now"}}
    old = new_run("older", settings=now["settings"])
    assert old.difference(now) == ""
    begun = new_run("begun", settings=now["settings"], sha256={name: "then"})
    assert begun.difference(now) == f"{name} is another file"
