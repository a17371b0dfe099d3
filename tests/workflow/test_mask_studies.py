"""The studies of Song et al. as a user runs them: what is planned, what is refused, and a small run to its report."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from caffe_files.errors import InputError
from skinmtl.data.demo.mole_set import make as draw
from skinmtl.experiment.configuration import configure
from skinmtl.experiment.request import Request

yaml = pytest.importorskip("yaml", reason="the workflow runs on Snakemake's Python: make .venv/ready")
CAFFE_BIN = ROOT / ".caffe" / "bin"
SNAKEMAKE = shutil.which("snakemake", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(SNAKEMAKE is None, reason="no Snakemake beside this Python: make .venv/ready")
VARIANTS = ["full", "cross_entropy", "focal", "jaccard", "class_alone", "mask_alone"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Thirty-two moles with their masks."""
    folder = tmp_path_factory.mktemp("moles") / "data"
    draw(folder, images=32, patients=16, seed=1, workers=2)
    return folder


def request_for(drawn, **changes):
    usual = {
        **{"manifest": drawn / "manifest.csv", "images": drawn, "out": drawn.parent / "out", "preset": "mask-demo"},
        **{"folds": 2, "only_folds": (0,), "models": None, "weights": (), "precision": "fp32", "gpu": None, "seed": 1},
    }
    return Request(**{**usual, **changes})


def planned(configuration, tmp_path):
    """Snakemake's plan, its commands with it."""
    path = tmp_path / "config.yaml"
    values = dict(configuration.values)
    for settings in values["models"].values():  # copied when a run begins
        settings["solver"] = str(ROOT / "solvers" / "tiny_mask_rcnn.prototxt")
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    command = [SNAKEMAKE, "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--configfile", str(path), "-n", "-p"]
    done = subprocess.run([*command, "--cores", "2", "--nolock"], cwd=str(ROOT), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_each_variant_is_its_own_net_of_one_data_set(drawn, tmp_path):
    status, plan = planned(configure(request_for(drawn), "caffe", CAFFE_BIN), tmp_path)
    assert status == 0, plan
    assert plan.count("make_lmdb.py") == 2 and "--long-side 160" in plan and "--short-side" not in plan
    nets = [line for line in plan.splitlines() if "make_prototxt.py" in line]
    assert len(nets) == 6 and all("--model resnet50_mask_rcnn --trunk tiny --side 128" in line for line in nets)
    for flags in ("--focal none --jaccard off", "--jaccard off", "--focal none", "--heads class", "--heads mask"):
        assert any(f"{flags} --train-data" in line for line in nets)
    (report,) = (line for line in plan.splitlines() if "report.py" in line)
    assert f"--images {drawn}" in report and "figure3" not in plan and "ensemble" not in plan


def test_they_are_trained_once(drawn):
    assert "seeds" not in configure(request_for(drawn), "caffe", CAFFE_BIN).values
    with pytest.raises(InputError, match=r"--seeds 3: .* of one training each; leave it out"):
        configure(request_for(drawn, seeds=3), "caffe", CAFFE_BIN)


def test_the_large_nets_start_from_weights_and_train_in_the_phases_of_train_py(drawn, tmp_path):
    weights = tmp_path / "w.caffemodel"
    weights.write_bytes(b"")
    request = request_for(drawn, preset="mask-resnet50", weights=((None, weights),), gpu=0)
    made = configure(request, "caffe", CAFFE_BIN)
    assert made.models == tuple(VARIANTS)
    assert {settings["weights"] for settings in made.values["models"].values()} == {str(weights)}
    status, plan = planned(made, tmp_path)
    assert status == 0, plan
    assert plan.count(f"--weights {weights}") == 6 and "--phases" not in plan and "--long-side 1024" in plan
    with pytest.raises(InputError, match="full starts from pretrained weights; give --weights FILE"):
        configure(request_for(drawn, preset="mask-resnet50"), "caffe", CAFFE_BIN)


def test_a_data_sets_own_split_and_masks_elsewhere(drawn, tmp_path):
    shutil.copytree(str(drawn / "masks"), str(tmp_path / "truth" / "masks"))
    folds = tmp_path / "folds.csv"
    names = [line.partition(",")[0] for line in (drawn / "manifest.csv").read_text().splitlines()[1:]]
    folds.write_text("image,fold\n" + "".join(f"{name},{n % 3}\n" for n, name in enumerate(names)))
    more = {"folds": folds, "masks": tmp_path / "truth", "validation_fold": 1}
    status, plan = planned(configure(request_for(drawn, **more), "caffe", CAFFE_BIN), tmp_path)
    assert status == 0, plan
    lmdbs = [line for line in plan.splitlines() if "make_lmdb.py" in line]
    truth = f"--masks {tmp_path / 'truth'}"
    assert len(lmdbs) == 2 and all("--validation-fold 1 --long-side 160" in line and truth in line for line in lmdbs)
    assert all(
        any(f"{tool}.py" in line and truth in line for line in plan.splitlines()) for tool in ("describe", "score")
    )
    assert configure(request_for(drawn, **more, only_folds=()), "caffe", CAFFE_BIN).folds == (0, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only_folds": (0, 1), "validation_fold": 1}, "--validation-fold 1: is one of --only-fold"),
        ({"validation_fold": 7}, "--validation-fold 7: the folds are 0, 1"),
        ({"models": ("resnet50_mtl",)}, "has no model resnet50_mtl; it has full, cross_entropy"),
        ({"preset": "tiny", "masks": Path(), "models": ("resnet50_lesion",)}, "these nets draw no lesions"),
        ({"preset": "tiny", "masks": Path(__file__).parent}, "its mask is not in"),
        ({"masks": Path(__file__).parent}, "its mask is not in"),
    ],
)
def test_what_is_refused_beforehand(drawn, changes, words):
    with pytest.raises(InputError, match=words):
        configure(request_for(drawn, **changes), "caffe", CAFFE_BIN)


def test_images_without_a_mask_are_refused(drawn, tmp_path):
    text = (drawn / "manifest.csv").read_text().replace("masks/00003.png", "")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=r"manifest.csv:5: images/00003.jpg: has no mask; full needs one"):
        configure(request_for(drawn, manifest=tmp_path / "manifest.csv"), "caffe", CAFFE_BIN)


@pytest.mark.slow
@pytest.mark.skipif(not CAFFE_BIN.exists(), reason="no .caffe: make caffe")
def test_a_small_run_from_the_manifest_to_the_report(drawn, tmp_path):
    """The preset with fewer iterations and two of its variants, through stock Caffe."""
    preset = yaml.safe_load((ROOT / "workflow" / "presets" / "mask-demo.yaml").read_text())
    preset.update(train="--max-iter 6 --test-interval 3", resamples=50, usual_models=["full", "class_alone"])
    for settings in preset["models"].values():
        settings["solver"] = str(ROOT / "solvers" / "tiny_mask_rcnn.prototxt")
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(preset, sort_keys=False))
    out = tmp_path / "out"
    words = ["run", drawn / "manifest.csv", "--images", drawn, "--out", out, "--preset", tmp_path / "quick.yaml"]
    words += ["--folds", 2, "--only-fold", 0, "--engine", "caffe"]
    command = [sys.executable, str(ROOT / "tools" / "commands.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "fold 0, full: training done" in done.stdout
    assert "class AUC" in done.stdout and "mask JA" in done.stdout and "mAP-class" not in done.stdout
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert "all tasks, both losses less class alone" in page and "data:image/jpeg" in page
    with open(str(out / "report" / "studies.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["study"], row["variant"], row["against"]) for row in rows} == {("tasks", "full", "class_alone")}
    assert (out / "model" / "model.json").is_file() and f"predict {out} PHOTO" in done.stdout
    metrics = json.loads((out / "fold0" / "full" / "metrics.json").read_text())
    assert metrics["mask_ja"] is not None and metrics["class_auc"] is not None
    assert len(list((out / "fold0" / "full" / "scores_masks").rglob("*.png"))) == 16
