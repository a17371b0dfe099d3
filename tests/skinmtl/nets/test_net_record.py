"""net.json: what make_prototxt.py keeps of a net and its data for the tools that come after."""

from __future__ import annotations

import json

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.data.folds import select
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.snapshot import differences_from_net, mean_of, short_side_of
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.nets.net_record import read_net_record

OPTIONS = NetOptions(
    "resnet50_mtl", "tiny", 64, 3, 4, "no", "no", 8, 8, frozen_batch_norm=False, mean=(104, 116.5, 123)
)


@pytest.fixture
def make(tool, small_set, tmp_path):
    """Runs make_prototxt.py into the folder `net`, for the small set where nothing else is said."""

    def run(*words, train=small_set.train, test=small_set.test, model="resnet50_mtl", trunk="tiny"):
        net = ("--model", model, "--trunk", trunk, "--crop", 64, "--overwrite", "--out", tmp_path / "net")
        done = tool("make_prototxt.py", *net, "--train-data", train, "--test-data", test, *words)
        assert done.returncode == 0, done.stderr
        return read_net_record(tmp_path / "net")

    return run


def test_scales_are_those_that_the_training_images_are_stored_or_drawn_at(make, small_set, tmp_path):
    whole = read_manifest(small_set.manifest)
    copies = tmp_path / "copies"
    selected = select(whole, small_set.folds, 0, "train")
    write_lmdbs(selected, small_set.images, copies, Sizes(72, 90, 2), seed=1, workers=1, arguments={})
    assert make().scales == (72, 72)
    assert make(train=copies).scales == (72, 90)
    assert make("--online-jitter", "--scales", 66, 72).scales == (66, 72)


def test_the_short_side_is_that_of_the_test_images_or_unknown(make, small_set, tmp_path):
    assert make().short_side == 72
    selected = select(read_manifest(small_set.manifest), small_set.folds, 0, "test")
    write_lmdbs(selected, small_set.images, tmp_path / "jittered", Sizes(72, 90, 1), 1, 1, arguments={})
    assert make(test=tmp_path / "jittered").short_side is None
    known = make("--lesions", 3, "--locations", 4, "--test-batch-size", 8, train="not", test="there")
    assert (known.short_side, known.scales, known.names) == (None, None, {})
    assert known.mean == (103.0626, 115.9029, 123.1516)


def test_an_alexnet_has_neither_features_nor_maps(make):
    known = make(model="alexnet_lesion", trunk="tiny_alexnet")
    assert (known.features_blob, known.maps_blob) == (None, None)
    assert list(known.names) == ["lesion_names"]


def test_check_holds_net_json_too(make, tool, small_set, tmp_path):
    make()
    path = tmp_path / "net" / "net.json"
    record = json.loads(path.read_text())
    words = ["--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--out", tmp_path / "net", "--check"]
    words += ["--train-data", small_set.train, "--test-data", small_set.test]
    counted = [*words, "--lesions", 3, "--locations", 4, "--test-batch-size", 8]
    assert tool("make_prototxt.py", *words).returncode == 0
    for change in (
        {"short_side": 73},
        {"mean": [1, 2, 3]},
        {"lesion_names": ["a", "b", "c"]},
        {"crop": 63},
        {"more": 1},
    ):
        path.write_text(json.dumps({**record, **change}))
        done = tool("make_prototxt.py", *words)
        assert (done.returncode, done.stdout) == (1, ""), change
        assert f"{path}: not as generated" in done.stderr
    # what the flags say in full is held without the data: these names could be right
    path.write_text(json.dumps({**record, "lesion_names": ["a", "b", "c"]}))
    assert tool("make_prototxt.py", *counted).returncode == 0
    path.write_text(json.dumps({**record, "lesion_names": ["a", "b"]}))
    assert tool("make_prototxt.py", *counted).returncode == 1
    path.unlink()
    assert tool("make_prototxt.py", *counted).returncode == 1


@pytest.mark.usefixtures("overwriting")
def test_a_net_in_a_new_folder_appears_whole_and_one_that_is_there_keeps_other_files(tmp_path):
    files = net_files(OPTIONS, "a test")
    assert sorted(files) == ["deploy.prototxt", "net.json", "test.prototxt", "train.prototxt"]
    write_net_files(files, tmp_path / "net")
    (tmp_path / "net" / "notes.txt").write_text("mine")
    with pytest.raises(TypeError):  # none is replaced where one cannot be written
        write_net_files({**dict.fromkeys(files, "other"), "net.json": None}, tmp_path / "net")
    assert {name: (tmp_path / "net" / name).read_text() for name in files} == files
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == sorted([*files, "notes.txt"])


def test_mean_and_short_side_come_from_it_and_what_differs_is_named(tmp_path):
    write_net_files(net_files(OPTIONS, "a test"), tmp_path)
    deploy = tmp_path / "deploy.prototxt"
    from_record = mean_of(deploy)
    assert short_side_of(deploy) == 256
    record = json.loads((tmp_path / "net.json").read_text())
    (tmp_path / "net.json").write_text(json.dumps({**record, "short_side": 73}))
    assert short_side_of(deploy) == 73
    assert differences_from_net(deploy, None, None) == differences_from_net(deploy, 73, (104, 116.5, 123)) == []
    said = f"({tmp_path}/net.json); leave the flag out unless you want that"
    assert differences_from_net(deploy, 256, (1, 2, 3)) == [
        f"--short-side 256 where the net was made for 73 {said}",
        f"--mean 1 2 3 where the net was made for 104 116.5 123 {said}",
    ]
    (tmp_path / "net.json").unlink()
    assert mean_of(deploy) == from_record  # as test.prototxt has it
    assert (short_side_of(deploy), differences_from_net(deploy, 7, (1, 2, 3))) == (256, [])


def test_a_mean_that_was_edited_in_the_test_net_is_refused(tmp_path):
    write_net_files(net_files(OPTIONS, "a test"), tmp_path)
    path = tmp_path / "test.prototxt"
    path.write_text(path.read_text().replace("116.5", "117"))
    with pytest.raises(InputError, match=r"test\.prototxt: its mean_value is not the mean in .*net\.json"):
        mean_of(tmp_path / "deploy.prototxt")
    path.unlink()
    assert mean_of(tmp_path / "deploy.prototxt") == (104, 116.5, 123)


def test_the_published_mean_is_the_same_number_from_both_files(tmp_path):
    options = NetOptions("resnet50_mtl", "resnet50", 224, 3, 4, "no", "no", 8, 8, frozen_batch_norm=True)
    write_net_files(net_files(options, "a test"), tmp_path)
    from_record = mean_of(tmp_path / "deploy.prototxt")
    (tmp_path / "net.json").unlink()
    assert mean_of(tmp_path / "deploy.prototxt") == from_record == tuple(map(float, np.float32(options.subtracted)))


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "[" * 100_000,
        '{"format": "another"}',
        '{"crop": true}',
        '{"mean": [1, 2]}',
        '{"mean": [1, 2, NaN]}',
        '{"short_side": 0}',
        '{"lesion_names": ["a"]}',
        '{"lesion_names": [1, 2, 3]}',
        '{"outputs": {"colour": 3}}',
        '{"scales": [1]}',
    ],
)
def test_a_file_that_is_none_is_one_line(text, tmp_path):
    write_net_files(net_files(OPTIONS, "a test"), tmp_path)
    whole = json.loads((tmp_path / "net.json").read_text())
    try:
        changed = json.loads(text)
        text = json.dumps({**whole, **changed}) if isinstance(changed, dict) else text
    except (ValueError, RecursionError):
        pass
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(InputError, match=r"net\.json: .*; run make_prototxt\.py again"):
        read_net_record(tmp_path)
