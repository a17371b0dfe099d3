"""Variants of a model in a preset: which are trained, with which files, and what is refused before all else."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffe_files.errors import InputError
from skinmtl.experiment.configuration import configure, differences, write
from skinmtl.experiment.request import Request

pytest.importorskip("yaml", reason="presets are YAML, which comes with Snakemake: make .venv/ready")

TINY = "{net: --trunk tiny --crop 64, solver: solvers/tiny_mtl.prototxt}"


@pytest.fixture
def request_for(make_dataset, tmp_path):
    """A request on six photographs of three groups, with changes; the text of a preset, or a preset's name."""
    data = make_dataset(6)

    def make(preset, **changes):
        if "\n" in preset:
            (tmp_path / "mine.yaml").write_text(preset)
            preset = str(tmp_path / "mine.yaml")
        usual = {"manifest": data.manifest, "images": data.images, "out": tmp_path / "out", "folds": 3}
        usual.update(only_folds=(), models=None, weights=(), precision="fp32", gpu=None, seed=1)
        return Request(preset=preset, **{**usual, **changes})

    return make


def configured(request):
    return configure(request, "caffe", Path("/some/bin"))


def weights(tmp_path):
    (tmp_path / "w.caffemodel").write_bytes(b"weights")
    return ((None, tmp_path / "w.caffemodel"),)


def test_the_preset_has_one_base_and_each_variant_says_what_differs(request_for, tmp_path):
    made = configured(request_for("what-helps", weights=weights(tmp_path)))
    assert (made.models, made.values["base"]) == (("resnet50_mtl",), "resnet50_mtl")
    assert made.variants == ("from_scratch", "class_weights", "balance", "augmentation", "balance_and_augmentation")
    assert made.values["variants"]["from_scratch"]["weights"] == "none"
    assert made.values["variants"]["balance"]["train_images"] == "--balance 0.1"
    assert all("about" in settings for settings in made.values["variants"].values())


def test_some_of_them_alone(request_for, tmp_path):
    asked = request_for("what-helps", weights=weights(tmp_path), variants=("balance", "augmentation"))
    assert configured(asked).variants == ("balance", "augmentation")


def test_a_variants_own_solver_is_copied_as_a_models_is_and_a_change_in_it_is_told(request_for, tmp_path):
    (tmp_path / "own.prototxt").write_text("base_lr: 0.1")
    preset = (
        f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{fast: {{solver: own.prototxt}}, cut: {{net: --crop 32}}}}\n"
    )
    made = configured(request_for(preset))
    (tmp_path / "out").mkdir()
    write(made, {})
    assert (tmp_path / "out/solvers/fast.prototxt").read_text() == "base_lr: 0.1"
    assert made.values["variants"]["fast"]["solver"] == str(tmp_path / "out/solvers/fast.prototxt")
    assert sorted(path.name for path in (tmp_path / "out/solvers").iterdir()) == [
        "fast.prototxt",
        "resnet50_mtl.prototxt",
    ]
    assert differences(made) == []
    (tmp_path / "own.prototxt").write_text("base_lr: 0.2")
    changed = configured(request_for(preset.replace("--crop 32", "--crop 48")))
    assert differences(changed) == ["variants.cut.net: --crop 32 -> --crop 48", "variants.fast.solver: another text"]


def test_without_their_base_the_variants_are_left_out_and_that_is_said(request_for):
    preset = (
        f"models: {{resnet50_lesion: {TINY}, resnet50_mtl: {TINY}}}\nbase: resnet50_mtl\nvariants: {{a: {{net: x}}}}\n"
    )
    made = configured(request_for(preset, models=("resnet50_lesion",)))
    assert made.variants == () and "base" not in made.values
    assert "the variants are left out: resnet50_mtl, which they are of, is not trained" in made.notes
    assert configured(request_for(preset)).values["base"] == "resnet50_mtl"


MASKED = "{model: resnet50_mask_rcnn, solver: solvers/tiny_mask_rcnn.prototxt}"


@pytest.mark.parametrize(
    "preset, changes, words",
    [
        (f"models: {{resnet50_mtl: {TINY}}}\n", {"variants": ("a",)}, "has no variant a; it has none"),
        (
            f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{b: {{net: x}}}}\n",
            {"variants": ("a",)},
            "has no variant a; it has b",
        ),
        (
            f"models: {{resnet50_lesion: {TINY}, resnet50_mtl: {TINY}}}\nvariants: {{b: {{net: x}}}}\n",
            {"variants": ("b",), "models": ("resnet50_mtl",)},
            "--variants: they are of resnet50_lesion, which is not trained",
        ),
        (f"models: {{resnet50_mtl: {TINY}}}\nbase: mtl\nvariants: {{b: {{net: x}}}}\n", {}, "base: mtl is none of its"),
        *[
            (
                f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{{name}: {{net: x}}}}\n",
                {},
                f"mine.yaml: variants: {name} means something else; name it otherwise",
            )
            for name in ("resnet50_mtl", "ensemble", "data", "seed2")
        ],
        *[
            (
                f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{{name}: {{net: x}}}}\n",
                {},
                f"variants: {name!r} is no name; name it with lower-case letters, digits and _",
            )
            for name in ("no-colour", "Mine", "1st")
        ],
        (f"models: {{MTL: {TINY}}}\n", {}, "models: 'MTL' is no name"),
        ("what-helps", {}, "pretrained weights; give --weights FILE (skinmtl fetch-weights gets one)"),
        ("resnet50", {}, "--weights alexnet_lesion=FILE for AlexNet"),
        ("no.yaml", {}, "or a YAML file of your own"),
        (f"models: {{resnet50_mtl: {TINY}}}\nvariants: [b]\n", {}, "variants has no settings"),
        (f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{b: 3}}\n", {}, "b has no settings"),
        (
            f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{b: {{solver: no.prototxt}}}}\n",
            {},
            "b: no solver no.prototxt",
        ),
        (
            f"models: {{resnet50_mtl: {TINY}}}\nvariants: {{b: {{weights: none}}}}\n",
            {},
            "b: resnet50_mtl starts from scratch already",
        ),
        (f"models: {{full: {MASKED}}}\nvariants: {{b: {{net: x}}}}\n", {}, "full draws lesions and has no variants"),
    ],
    ids=[
        *("none", "unknown", "base not trained", "no base", "like its base", "like the ensemble", "like the data"),
        "like a seed",
        *("a hyphen", "a capital", "a digit first", "a model's", "no weights", "of AlexNet", "no such preset"),
        *("a list", "a number", "no file", "from scratch", "masks"),
    ],
)
def test_what_is_refused(request_for, tmp_path, preset, changes, words):
    with pytest.raises(InputError) as caught:
        configured(request_for(preset, **changes))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
