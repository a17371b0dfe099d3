"""What an experiment refuses before it writes: wrong settings, a folder for something else, no weights, no such GPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.experiment.beforehand import check_beforehand
from skinmtl.experiment.configuration import Request, configure, write

pytest.importorskip("jsonschema", reason="it comes with Snakemake, as YAML does: make .venv/ready")
PYTHON = Path(sys.executable).parent


@pytest.fixture
def checked(make_dataset, tmp_path):
    """Checks an experiment on six photographs that tmp_path/data has, with changes; returns its configuration."""
    data = make_dataset(6)

    def check(engine="caffe", **changes):
        usual = {"preset": "tiny", "folds": 3, "only_folds": (), "models": None, "weights": (), "precision": "fp32"}
        where = {"manifest": data.manifest, "images": data.images, "out": tmp_path / "out", "gpu": None, "seed": 1}
        configuration = configure(Request(**{**usual, **where, **changes}), engine, PYTHON)
        check_beforehand(configuration, PYTHON, lambda step, words: "")
        return configuration

    return check


def holds(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "line, words",
    [
        ("short_sidee: 73", r"short_sidee is no setting \('short_side' is near\); correct it$"),
        ("short_side: tall", r"short_side: 'tall' is not of type 'integer'; correct it$"),
        ("models: {resnet50_mtl: {solver: solvers/tiny_mtl.prototxt, nett: x}}", r"models\.resnet50_mtl\.nett is no"),
        ("models: {resnet101: {solver: solvers/tiny_mtl.prototxt}}", r"resnet101"),
    ],
)
def test_a_mistyped_setting_of_a_preset_is_named(checked, tmp_path, line, words):
    preset = tmp_path / "mine.yaml"
    models = "" if line.startswith("models") else "models: {resnet50_mtl: {solver: solvers/tiny_mtl.prototxt}}"
    preset.write_text(f"{line}\n{models}\n")
    with pytest.raises(InputError, match=words):
        checked(preset=str(preset))
    assert not (tmp_path / "out").exists()


def test_a_new_folder_and_an_empty_one_will_do(checked, tmp_path):
    checked()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_text("")
    checked()


def test_a_folder_that_holds_something_else_is_refused(checked, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name, text in (("folds.csv", "image,fold\n"), ("config.yaml", "site: mine\n")):
        (out / name).write_text(text)
    with pytest.raises(InputError, match=r"out: holds config\.yaml and 1 more, which is not from an experiment"):
        checked()
    assert holds(out) == ["config.yaml", "folds.csv"]
    with pytest.raises(InputError, match=r"images: holds image 0\.jpg and 5 more"):
        checked(out=tmp_path / "data" / "images")


def test_the_folder_that_the_photographs_are_in_will_do(checked, tmp_path):
    (tmp_path / "data" / "folds.csv").write_text("image,fold\n" + "".join(f"image {n}.jpg,{n % 2}\n" for n in range(6)))
    checked(out=tmp_path)
    checked(out=tmp_path / "data", folds=tmp_path / "data" / "folds.csv")
    with pytest.raises(InputError, match=r"data: holds folds\.csv, which"):
        checked(out=tmp_path / "data")


@pytest.mark.parametrize("left", ["config.yaml", ".lock"])
def test_an_experiments_own_folder_goes_on(checked, tmp_path, left):
    configuration, out = checked(), tmp_path / "out"
    out.mkdir()
    write(configuration, {"versions": {}})
    (out / "fold0").mkdir()
    (out / ".lock").write_text("")
    for name in {"config.yaml", ".lock"} - {left}:
        (out / name).unlink()
    checked()


def test_weights_are_read_before_the_lmdbs_are_built(checked, tmp_path):
    file = tmp_path / "weights.caffemodel"
    file.write_text("a README\n")
    for weights in ((None, file), ("resnet50_mtl", file)):
        with pytest.raises(InputError, match=r"weights\.caffemodel: .*; make or fetch it again"):
            checked(preset="resnet50", weights=(weights,), models=("resnet50_mtl",))
    net = caffe_messages().NetParameter(name="net")
    net.layer.add(name="conv1", type="Convolution")
    file.write_bytes(net.SerializeToString())
    checked(preset="resnet50", weights=((None, file),))


@pytest.mark.parametrize("engine, module", [("caffe", "caffe"), ("torch", "torch")])
def test_a_gpu_that_the_engine_cannot_use_is_told_before_the_lmdbs_are_built(checked, tmp_path, engine, module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"no {module} here")
    with pytest.raises(InputError, match=r"^--gpu 99: .*; (leave --gpu out|give smaller numbers)"):
        checked(engine, gpu=99)
    assert not (tmp_path / "out").exists()
