"""`skinmtl run` as a user has it: what it prints, how it goes on after any end, what it refuses and how it fails."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from skinmtl.data.demo.data_set import make as draw
from skinmtl.experiment.guard import workers_of

yaml = pytest.importorskip("yaml", reason="the workflow runs on Snakemake's Python: make .venv/ready")
CAFFE_BIN = ROOT / ".caffe" / "bin"
pytestmark = [
    pytest.mark.skipif(
        shutil.which("snakemake", path=str(Path(sys.executable).parent)) is None,
        reason="no Snakemake: make .venv/ready",
    ),
    pytest.mark.skipif(not CAFFE_BIN.exists(), reason="no .caffe: make caffe"),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Forty drawn images, and a preset of one tiny net that is trained in seconds."""
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder / "data", images=40, patients=14, seed=1, workers=2)
    preset = yaml.safe_load((ROOT / "workflow" / "presets" / "tiny.yaml").read_text())
    preset.update(
        about="one net, for a test",
        train_images="--jitter 73 96 --copies 1",
        train="--max-iter 60 --test-interval 20",
        resamples=50,
        usual_models=["resnet50_lesion"],
    )
    (folder / "quick.yaml").write_text(yaml.safe_dump(preset))
    return folder


@pytest.fixture(scope="module")
def command(drawn):
    """The words of skinmtl run on these images, for an output folder."""

    def command(out, *more):
        words = ["run", drawn / "data/manifest.csv", "--images", drawn / "data/images", "--out", out]
        words += ["--preset", drawn / "quick.yaml", "--folds", 2, "--only-fold", 1, "--engine", "caffe", *more]
        return [sys.executable, str(ROOT / "tools" / "commands.py"), *map(str, words)]

    return command


def finished(command):
    """What a command that ends well prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """A finished experiment's folder, and what was printed."""
    out = tmp_path_factory.mktemp("undisturbed") / "my out"
    return out, finished(command(out))


def results(out):
    """What must not depend on how often an experiment was cut."""
    metrics = json.loads((out / "fold1/resnet50_lesion/metrics.json").read_text())
    return (
        metrics["average_precision"],
        (out / "report/table1.csv").read_text(),
        (out / "folds.csv").read_text(),
        (out / "fold1/resnet50_lesion/run/log.csv").read_text().count("\n"),
    )


@pytest.mark.slow
def test_an_experiment_from_the_manifest_to_the_report(undisturbed, command):
    out, said = undisturbed
    plan, _, done = said.partition("to do ")
    assert re.search(r"data +40 images, 14 groups \(patients\), 10 lesions, 7 locations", plan)
    assert re.search(r"folds +2; only 1\n", plan) and re.search(r"models +resnet50_lesion\n", plan)
    assert "--max-iter 60" in plan and f"by {CAFFE_BIN}" in plan
    for stage in (
        "leak check",
        "description of the data",
        "fold 1: training LMDBs",
        "fold 1, resnet50_lesion: metrics",
    ):
        assert re.search(rf"\d:\d\d:\d\d  {stage} done, ", done)
    assert "0 of 40 test images have a sibling in training" in done
    assert re.search(
        r"the first 20 iterations took [0-9.]+ m?i?n?s?.* on this machine; 1 training run of 60 iterations takes about",
        done,
    )
    assert re.findall(r"resnet50_lesion: test at iteration (\d+) of 60: error", done) == ["20", "40", "60"]
    assert re.search(r"\nresnet50_lesion +0\.\d{3} \(chance 0\.\d{3}\)", done)
    assert f"report: {out / 'report' / 'index.html'}\n" in done
    for name in ("report/index.html", "description/index.html", "model/model.json", "leakage.json", "config.yaml"):
        assert (out / name).is_file()
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["made_by"]["versions"]["snakemake"] and config["folds"] == 2

    again = finished(command(out))
    assert "nothing: all of it is done" in again
    assert again.splitlines()[-4:] == said.splitlines()[-4:]


@pytest.mark.slow
def test_killed_twice_it_ends_as_an_undisturbed_one_and_other_settings_are_told(undisturbed, command, tmp_path):
    out = tmp_path / "cut"
    for wait_for in ("training LMDBs", "test at iteration 20"):
        process = subprocess.Popen(command(out), stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if wait_for in line:
                break
        process.kill()
        process.communicate()
    said = finished(command(out))
    assert not workers_of(str(out))
    assert "to do " in said and "training LMDBs done" not in said
    assert results(out) == results(undisturbed[0])
    assert "goes on from iteration" in (out / "logs/fold1.resnet50_lesion.train.log").read_text()

    process = subprocess.Popen(command(out, "--seed", 2), stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("to do "):
            break
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert "changed   seed: 1 -> 2\n" in lines
    (made_again,) = (line for line in lines if line.startswith("again "))
    assert "1 x folds" in made_again and "1 x training," in made_again and "1 x report" in made_again


@pytest.mark.slow
def test_stopped_it_says_so_leaves_nothing_running_and_a_second_is_refused_meanwhile(command, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "training ..." in line:
            break
    second = subprocess.run(command(out), capture_output=True, text=True, timeout=60)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"skinmtl run: {out}: process {process.pid} is running this experiment; wait, or stop that one\n"
    )
    process.send_signal(signal.SIGTERM)
    said, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (143, "skinmtl run: stopped by SIGTERM\n")
    assert said.endswith("the same command goes on\n")
    assert not workers_of(str(out))


@pytest.mark.slow
def test_a_stage_that_fails_is_told_by_its_tools_own_line(drawn, tmp_path):
    shutil.copytree(str(drawn / "data"), str(tmp_path / "data"))
    for path in (tmp_path / "data/images").iterdir():
        path.write_bytes(b"no image")
    words = ["run", "data/manifest.csv", "--images", "data/images", "--out", "out", "--folds", "2"]
    command = [sys.executable, str(ROOT / "tools" / "commands.py"), *words, "--preset", str(drawn / "quick.yaml")]
    done = subprocess.run([*command, "--engine", "caffe"], cwd=str(tmp_path), capture_output=True, text=True)
    assert done.returncode == 1
    line = done.stderr.splitlines()[0]
    assert re.match(r"skinmtl run: fold \d: (training|validation) LMDBs failed: make_lmdb\.py: .*not an image", line)
    assert f"all of it: {tmp_path}/out/logs/fold" in line
    assert not workers_of(str(tmp_path / "out"))
