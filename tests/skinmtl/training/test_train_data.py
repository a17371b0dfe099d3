"""train.py holds the LMDBs against their dataset.json at every start, on both engines."""

from __future__ import annotations

import json
import shutil
import time

import lmdb
import pytest

from caffe_files.errors import InputError
from skinmtl.engines.engine import Engine
from skinmtl.training.inputs import check_inputs
from skinmtl.training.training_run import train

pytest_plugins = ["toy_training"]


@pytest.fixture
def data(toy, tmp_path):
    """Copies of the toy's data sets, and a net that reads them."""
    for name in ("train", "test"):
        shutil.copytree(str(toy.folder / name), str(tmp_path / name))
    return toy.net(data=tmp_path / "train", test_data=tmp_path / "test")


def give_each_image_the_label_of_another(folder):
    with lmdb.open(str(folder), lock=False) as environment, environment.begin(write=True) as transaction:
        keys, values = zip(*((bytes(key), bytes(value)) for key, value in transaction.cursor()))
        for key, value in zip(keys, values[1:] + values[:1]):
            transaction.put(key, value)


@pytest.mark.parametrize("engine", ["caffe", "torch"])
@pytest.mark.parametrize("which", ["train/image_lmdb", "train/lesion_lmdb", "test/lesion_lmdb"])
def test_exchanged_records_are_refused_before_anything_is_built(data, tmp_path, which, engine):
    assert check_inputs(data, False, Engine(engine)).notes == ()
    give_each_image_the_label_of_another(tmp_path / which)
    with pytest.raises(InputError, match=f"{which}: holds other records than the dataset.json beside it describes"):
        check_inputs(data, False, Engine(engine))


def test_an_older_data_set_is_told_in_a_line_for_each_folder(data, tmp_path):
    path = tmp_path / "train" / "dataset.json"
    summary = json.loads(path.read_text())
    del summary["lmdbs"]
    path.write_text(json.dumps(summary))
    (note,) = check_inputs(data, False).notes
    assert note.startswith(f"{tmp_path / 'train'}: not checked whether image_lmdb and lesion_lmdb and location_lmdb")


def test_it_takes_a_fraction_of_a_second(data):
    check_inputs(data, False)
    start = time.perf_counter()
    check_inputs(data, False)
    assert time.perf_counter() - start < 0.5


@pytest.mark.caffe
def test_a_run_does_not_go_on_with_other_records(toy, data, tmp_path):
    """dataset.json is the same file as when the run was begun."""
    again = toy.request(tmp_path / "run", net=data, max_iter=10, resume=True)
    train(again, {})
    give_each_image_the_label_of_another(tmp_path / "train" / "lesion_lmdb")
    with pytest.raises(InputError, match="lesion_lmdb: holds other records"):
        train(toy.request(tmp_path / "run", net=data, max_iter=20, resume=True), {})
