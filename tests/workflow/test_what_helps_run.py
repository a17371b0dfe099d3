"""What helps, as a workflow: the plan of variants of a model, and a small one from the manifest to the report."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from skinmtl.data.demo.data_set import make as draw

yaml = pytest.importorskip("yaml", reason="the workflow runs on Snakemake's Python: make .venv/ready")
SNAKEMAKE = shutil.which("snakemake", path=str(Path(sys.executable).parent))
CAFFE_BIN = ROOT / ".caffe" / "bin"
pytestmark = pytest.mark.skipif(SNAKEMAKE is None, reason="no Snakemake beside this Python: make .venv/ready")


def planned(folder, **changes):
    """Status, what Snakemake says, and tool -> where it writes, below fold 0 -> the words of its command."""
    preset = yaml.safe_load((ROOT / "workflow" / "presets" / "what-helps.yaml").read_text())
    config = {key: value for key, value in preset.items() if key not in ("about", "needs")}
    solver = str(ROOT / "solvers" / "resnet50_mtl.prototxt")
    config["models"]["resnet50_mtl"].update(weights="w.caffemodel", solver=solver)
    for name in ("manifest", "images", "w.caffemodel"):
        (folder / name).touch()
    config.update(out="out", manifest="manifest", images="images", only_folds=[0], **changes)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [SNAKEMAKE, "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--configfile", "config.yaml"]
    command += ["--cores", "2", "--nolock", "-n", "--printshellcmds"]
    done = subprocess.run(command, cwd=str(folder), capture_output=True, text=True)
    commands = {}
    for line in done.stdout.splitlines():
        if line.startswith("Shell command: python3 "):
            words = shlex.split(line)
            (tool,) = (Path(word).name for word in words if word.endswith(".py"))
            if "--out" in words:
                place = words[words.index("--out") + 1].replace("out/fold0/", "")
                commands.setdefault(tool, {})[place] = words
    return done.returncode, done.stdout + done.stderr, commands


def after(words, flag):
    """The last word behind a flag: the one that counts."""
    return [second for first, second in zip(words, words[1:]) if first == flag][-1]


def test_each_variant_is_the_base_with_what_it_says(tmp_path):
    status, said, commands = planned(tmp_path)
    assert status == 0, said
    variants = ("from_scratch", "class_weights", "balance", "augmentation", "balance_and_augmentation")
    nets, trainings = commands["make_prototxt.py"], commands["train.py"]
    assert set(nets) == {f"{name}/net" for name in ("resnet50_mtl", *variants)}
    assert set(commands["score.py"]) == {f"{name}/scores.npz" for name in ("resnet50_mtl", *variants)}
    base = nets["resnet50_mtl/net"]
    assert {after(words, "--model") for words in nets.values()} == {"resnet50_mtl"}
    assert all("--online-jitter" in words for words in nets.values())
    assert "--class-weights" not in base and after(nets["class_weights/net"], "--class-weights") == "effective"
    assert after(nets["augmentation/net"], "--rotate") == "180" and "--rotate" not in nets["balance/net"]
    assert after(nets["from_scratch/net"], "--batch-norm") == "batch"
    assert "--weights" not in trainings["from_scratch/run"]
    assert after(trainings["balance/run"], "--weights") == "w.caffemodel"
    for words in trainings.values():
        assert after(words, "--solver").endswith("solvers/resnet50_mtl.prototxt")
    # images that are stored otherwise are stored for that variant alone
    data = commands["make_lmdb.py"]
    own = {"balance/data/train", "balance_and_augmentation/data/train"}
    assert set(data) == {"data/train", "data/validation", *own}
    assert {place for place, words in data.items() if "--balance" in words} == own
    assert after(nets["balance/net"], "--train-data") == "out/fold0/balance/data/train"
    assert after(nets["augmentation/net"], "--train-data") == "out/fold0/data/train"
    assert {after(words, "--test-data") for words in nets.values()} == {"out/fold0/data/validation"}
    (report,) = commands["report.py"].values()
    assert after(report, "--base") == "resnet50_mtl"
    told = [second for first, second in zip(report, report[1:]) if first == "--variant"]
    assert [each.partition("=")[0] for each in told] == list(variants)
    assert told[2] == "balance=images of lesions below a tenth are repeated (--balance 0.1)"


def test_each_is_trained_from_every_seed_too(tmp_path):
    status, said, commands = planned(tmp_path, seeds=2)
    assert status == 0, said
    assert len(commands["train.py"]) == 12 and len(commands["score.py"]) == 12
    again = commands["train.py"]["seed2/balance/run"]
    assert after(again, "--seed") == "2" and after(again, "--net") == "out/fold0/balance/net"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"variants": {"a": {"nets": "x"}}}, "nets"),
        ({"variants": {"a": {}}}, "variants"),
        ({"variants": {"resnet50_mtl": {"net": "x"}}}, "means something else"),
        ({"variants": {"data": {"net": "x"}}}, "means something else"),
        ({"base": "resnet50_lesion"}, "resnet50_lesion is none of the models"),
        ({"variants": {"A b": {"net": "x"}}}, "A b"),
    ],
    ids=["mistyped", "nothing differs", "a model's name", "a folder's name", "no such base", "no name of a folder"],
)
def test_refuses_a_wrong_setting_by_its_name(tmp_path, changes, words):
    status, said, _ = planned(tmp_path, **changes)
    assert status == 1 and words in said


@pytest.mark.slow
@pytest.mark.skipif(not CAFFE_BIN.exists(), reason="no .caffe: make caffe")
def test_a_small_one_from_the_manifest_to_the_report(tmp_path):
    draw(tmp_path / "data", images=24, patients=8, seed=1, workers=2)
    net = {"net": "--trunk tiny --crop 64 --batch-size 8", "solver": "solvers/tiny_lesion.prototxt"}
    preset = {
        "about": "for a test",
        "train_images": "--short-side 73",
        "short_side": 73,
        "score_batch": 50,
        "train": "--max-iter 6 --test-interval 6",
        "resamples": 50,
        "models": {"resnet50_lesion": net},
        "variants": {"weighed": {"net": "--class-weights inverse", "train_images": "--balance 0.5"}},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(preset))
    words = ["run", "data/manifest.csv", "--images", "data/images", "--out", "out", "--preset", "small.yaml"]
    command = [sys.executable, str(ROOT / "tools" / "commands.py"), *words, "--folds", "2", "--only-fold", "1"]
    done = subprocess.run([*command, "--engine", "caffe"], cwd=str(tmp_path), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-3000:]
    assert "variants  of resnet50_lesion: weighed\n" in done.stdout
    assert "fold 1, weighed: training LMDBs of its own done" in done.stdout
    assert "\nweighed " in done.stdout.rpartition("all done in")[2]
    fold = tmp_path / "out" / "fold1"
    records = [json.loads((fold / place / "data/train/dataset.json").read_text()) for place in ("", "weighed")]
    assert records[0]["n_images"] == records[1]["n_images"] and records[0]["n_records"] < records[1]["n_records"]
    assert "WeightedSigmoidLoss" in (fold / "weighed/net/train.prototxt").read_text()
    with open(str(tmp_path / "out/report/what_helps.csv"), encoding="utf-8", newline="") as file:
        rows = {(row["variant"], row["figure"]): row for row in csv.DictReader(file)}
    row = rows["weighed", "mAP-class"]
    own, base = (json.loads((fold / name / "metrics.json").read_text()) for name in ("weighed", "resnet50_lesion"))
    assert float(row["difference"]) == pytest.approx(own["map_class"] - base["map_class"])
    assert row["what"] == "net --class-weights inverse, train_images --balance 0.5"
    assert "What helps" in (tmp_path / "out/report/index.html").read_text(encoding="utf-8")
