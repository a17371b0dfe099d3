"""From a preset and what the user asks for to the workflow's configuration; what is wrong is said before all else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from skinmtl.experiment.configuration import configure, differences, write
from skinmtl.experiment.request import Request

pytest.importorskip("yaml", reason="presets are YAML, which comes with Snakemake: make .venv/ready")


@pytest.fixture
def request_for(make_dataset, tmp_path):
    """A request on six photographs of three groups, with changes."""
    data = make_dataset(6)

    def make(**changes):
        usual = {
            "manifest": data.manifest,
            "images": data.images,
            "out": tmp_path / "out",
            "preset": "tiny",
            "folds": 3,
            "only_folds": (),
            "models": None,
            "weights": (),
            "precision": "fp32",
            "gpu": None,
            "seed": 1,
        }
        return Request(**{**usual, **changes})

    return make


def configured(request, engine="caffe"):
    return configure(request, engine, Path("/some/bin"))


def refused(request, *words):
    with pytest.raises(InputError) as caught:
        configured(request)
    for word in words:
        assert str(word) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not request.out.exists()


def weights(tmp_path, name="w.caffemodel", **net):
    file = tmp_path / name
    file.write_bytes(b"weights")
    if net:
        file.with_name(f"{name}.json").write_text(json.dumps({"net": net}))
    return file


def test_a_preset_names_a_published_net_beside_it_and_its_weights_need_no_other_flags(request_for, tmp_path):
    (tmp_path / "thin.prototxt").write_text("name: 'thin'")
    preset = tmp_path / "mine.yaml"
    model = "{trunk_net: thin.prototxt, net: --features sum, solver: solvers/tiny_mtl.prototxt}"
    preset.write_text(f"needs: [weights]\nmodels: {{resnet50_mtl: {model}}}")
    file = weights(tmp_path, stride_on="3x3", pool1="padded", mean=[1, 2, 3])
    made = configured(request_for(preset=str(preset), weights=((None, file),), weights_licence="CC0"))
    found = made.values["models"]["resnet50_mtl"]
    assert (found["trunk_net"], found["net"]) == (str(tmp_path / "thin.prototxt"), "--features sum")
    assert made.values["weights_licence"] == "CC0"
    preset.write_text(preset.read_text().replace("thin.prototxt", "none.prototxt"))
    refused(request_for(preset=str(preset), weights=((None, file),)), "resnet50_mtl: no trunk_net none.prototxt")


def test_all_paths_are_absolute_so_that_the_same_command_goes_on_from_any_folder(request_for, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = configured(request_for(manifest=Path("data/manifest.csv"), images=Path("data/images"), out=Path("out")))
    assert made.values["manifest"] == str(tmp_path / "data" / "manifest.csv")
    assert made.values["images"] == str(tmp_path / "data" / "images")
    assert made.values["out"] == str(tmp_path / "out")
    assert made.values["models"]["resnet50_mtl"]["solver"] == str(tmp_path / "out/solvers/resnet50_mtl.prototxt")


def test_the_presets_usual_models_are_trained_or_those_that_are_named_in_the_presets_order(request_for):
    assert configured(request_for()).models == ("resnet50_lesion", "resnet50_mtl")
    named = request_for(models=("resnet50_mtl", "alexnet_lesion"))
    assert configured(named).models == ("alexnet_lesion", "resnet50_mtl")
    refused(request_for(models=("resnet101",)), "resnet101", "alexnet_lesion")


def test_groups_are_counted_and_their_absence_is_known(request_for, make_dataset):
    assert configured(request_for()).n_groups == 3
    data = make_dataset(6, folder="without")
    lines = data.manifest.read_text().splitlines()
    data.manifest.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert configured(request_for(manifest=data.manifest, images=data.images)).n_groups is None


def test_what_is_wrong_with_the_data_is_said_at_once(request_for, tmp_path):
    refused(request_for(manifest=tmp_path / "none.csv"), tmp_path / "none.csv")
    refused(request_for(images=tmp_path / "none"), tmp_path / "none", "no such folder")
    refused(request_for(folds=4), "3 groups cannot fill 4 folds")
    request = request_for()
    (request.images / "image 2.jpg").unlink()
    (request.images / "image 4.jpg").unlink()
    refused(request, f"{request.manifest}:4", "image 2.jpg", "and 1 more")


def test_folds_may_be_given_and_some_of_them_be_made(request_for, tmp_path):
    folds = tmp_path / "folds.csv"
    folds.write_text("image,fold\n" + "".join(f"image {n}.jpg,{n % 2 * 3}\n" for n in range(6)))
    made = configured(request_for(folds=folds, only_folds=(3,)))
    assert (made.folds, made.n_folds, made.values["folds"]) == ((3,), 2, str(folds))
    refused(request_for(folds=folds, only_folds=(1,)), "--only-fold 1", "0, 3")
    folds.write_text("image,fold\n" + "".join(f"image {n}.jpg,0\n" for n in range(6)))
    refused(request_for(folds=folds), folds, "two or more")
    folds.write_text("image,fold\nimage 0.jpg,0\n")
    refused(request_for(folds=folds), folds, "image 1.jpg")


def test_the_papers_nets_need_weights(request_for, tmp_path):
    refused(request_for(preset="resnet50"), "--weights", "fetch-weights")
    refused(request_for(weights=((None, weights(tmp_path)),)), "start from scratch")
    refused(request_for(preset="resnet50", weights=((None, tmp_path / "none"),)), tmp_path / "none")


def test_weights_of_a_resnet_are_for_the_resnets_and_alexnet_is_left_out_aloud(request_for, tmp_path):
    made = configured(request_for(preset="resnet50", weights=((None, weights(tmp_path)),)))
    assert made.models == ("resnet50_lesion", "resnet50_location", "resnet50_mtl")
    assert {settings["weights"] for settings in made.values["models"].values()} == {str(tmp_path / "w.caffemodel")}
    assert "alexnet_lesion is left out" in made.notes[0]
    both = ((None, weights(tmp_path)), ("alexnet_lesion", weights(tmp_path, "a.caffemodel")))
    made = configured(request_for(preset="resnet50", weights=both))
    assert made.values["models"]["alexnet_lesion"]["weights"] == str(tmp_path / "a.caffemodel")
    assert made.notes == ()


def test_a_model_that_is_named_is_not_left_out(request_for, tmp_path):
    named = request_for(preset="resnet50", weights=((None, weights(tmp_path)),), models=("alexnet_lesion",))
    refused(named, "alexnet_lesion", "--weights alexnet_lesion=FILE")


def test_converted_weights_bring_the_settings_of_their_net(request_for, tmp_path):
    file = weights(tmp_path, stride_on="3x3", pool1="padded", mean=[103.53, 116.28, 123.675])
    made = configured(request_for(preset="resnet50", weights=((None, file),)))
    assert made.values["models"]["resnet50_mtl"]["net"] == (
        "--online-jitter --stride-on 3x3 --mean 103.53 116.28 123.675"
    )
    file.with_name("w.caffemodel.json").write_text("{")
    refused(request_for(preset="resnet50", weights=((None, file),)), "w.caffemodel.json")


def test_what_is_set_otherwise_than_before_is_told(request_for):
    request = request_for()
    first = configured(request)
    assert differences(first) == []
    request.out.mkdir()
    write(first, {"versions": {"python": "3"}})
    assert differences(configured(request)) == []
    assert differences(configured(request_for(seed=2, models=("resnet50_mtl",)))) == [
        "seed: 1 -> 2",
        "models.resnet50_lesion.net: --trunk tiny --crop 64 --batch-size 32 -> not set",
        f"models.resnet50_lesion.solver: {first.values['models']['resnet50_lesion']['solver']} -> not set",
    ]


def test_a_solver_is_copied_and_keeps_its_date_unless_its_text_is_another(request_for):
    request = request_for()
    request.out.mkdir()
    made = configured(request)
    write(made, {})
    copy = Path(made.values["models"]["resnet50_mtl"]["solver"])
    before = copy.stat().st_mtime_ns
    write(made, {})
    assert copy.stat().st_mtime_ns == before
    copy.write_text("max_iter: 1\n")
    assert differences(made) == ["models.resnet50_mtl.solver: another text"]
    write(made, {})
    assert differences(made) == []


def test_a_configuration_that_cannot_be_read_is_not_overwritten(request_for):
    request = request_for()
    request.out.mkdir()
    (request.out / "config.yaml").write_text("seed: [1\n")
    with pytest.raises(InputError, match=r"config\.yaml: is no YAML .*; move it away"):
        differences(configured(request))


@pytest.mark.parametrize("name", ["demo", "tiny", "resnet50"])
def test_every_preset_is_one_that_the_workflow_takes(request_for, tmp_path, name):
    jsonschema = pytest.importorskip("jsonschema")
    import yaml

    from skinmtl.experiment.places import WORKFLOW

    file = weights(tmp_path)
    of_paper = ((None, file), ("alexnet_lesion", file)) if name == "resnet50" else ()
    request = request_for(preset=name, weights=of_paper)
    request.out.mkdir()
    write(configured(request), {"versions": {}})
    schema = yaml.safe_load((WORKFLOW / "config.schema.yaml").read_text())
    jsonschema.validate(yaml.safe_load((request.out / "config.yaml").read_text()), schema)


@pytest.mark.parametrize(
    "text, words",
    [
        ("models: {", "no YAML"),
        ("about: x", "has no models"),
        ("models: {resnet50_mtl: {solver: none.prototxt}}", "none.prototxt"),
        ("out: x\nmodels: {resnet50_mtl: {solver: solvers/tiny_mtl.prototxt}}", "out is no setting of a preset"),
        ("needs: [luck]\nmodels: {resnet50_mtl: {solver: solvers/tiny_mtl.prototxt}}", "weights, gpu"),
    ],
    ids=["no YAML", "no models", "no solver", "a setting of the user's", "an unknown need"],
)
def test_a_preset_of_ones_own_is_checked(request_for, tmp_path, text, words):
    (tmp_path / "mine.yaml").write_text(text)
    refused(request_for(preset=str(tmp_path / "mine.yaml")), tmp_path / "mine.yaml", words)


def test_an_unknown_preset_is_told_the_known_ones(request_for):
    refused(request_for(preset="small"), "small", "demo, tiny, resnet50")
