"""The experiment's workflow: what it plans, what it refuses, and that a killed one ends as an undisturbed one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

yaml = pytest.importorskip("yaml", reason="the workflow runs on Snakemake's Python: make .venv/ready")
SNAKEMAKE = shutil.which("snakemake", path=str(Path(sys.executable).parent))
CAFFE_BIN = ROOT / ".caffe" / "bin"
pytestmark = pytest.mark.skipif(SNAKEMAKE is None, reason="no Snakemake beside this Python: make .venv/ready")


@pytest.fixture
def configured(tmp_path):
    """Writes a configuration of workflow/NAME with `changes`; what it names and is not there becomes an empty file."""

    def write(name, **changes):
        config = {**yaml.safe_load((ROOT / "workflow" / name).read_text()), "out": str(tmp_path / "out"), **changes}
        for key in ("manifest", "images"):
            if key not in changes:
                config[key] = str(tmp_path / key)
                (tmp_path / key).touch()
        for settings in config["models"].values():
            if "weights" in settings:
                settings["weights"] = str(tmp_path / settings["weights"])
                Path(settings["weights"]).touch()
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


def snakemake(config, *arguments):
    """The command from the repository's root, its own records beside the configuration."""
    command = [SNAKEMAKE, "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--configfile", str(config)]
    return [*command, "--cores", "2", "--nolock", *arguments]


def planned(config, *arguments):
    done = subprocess.run(snakemake(config, "-n", *arguments), cwd=str(ROOT), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def jobs(plan):
    """Rule -> how many jobs, from the table that Snakemake prints."""
    table = plan.partition("Job stats:")[2].partition("total")[0]
    return {line.split()[0]: int(line.split()[1]) for line in table.splitlines() if line[-1:].isdigit()}


@pytest.mark.parametrize("name", ["demo.yaml", "paper.yaml"])
def test_builds_each_data_set_once_and_trains_every_model_on_every_fold(configured, name):
    status, plan = planned(configured(name))
    assert status == 0, plan
    counts = jobs(plan)
    assert (counts["folds"], counts["training_data"], counts["validation_data"]) == (1, 5, 5)
    assert (counts["net"], counts["train"], counts["score"]) == (20, 20, 20)
    assert (counts["ensemble"], counts["evaluate"], counts["figure3"], counts["report"]) == (5, 25, 1, 1)


def test_the_papers_own_way_watches_the_test_fold(configured):
    own = planned(configured("demo.yaml"))[1]
    assert "--subset validation --validation 0.1" in own
    assert "--watch-test-fold" not in own
    papers = planned(configured("demo.yaml", validation="test-fold"))[1]
    assert "--watch-test-fold" in papers
    assert "--validation" not in papers


def test_one_gpu_runs_one_job_at_a_time(configured):
    plan = planned(configured("paper.yaml"))[1]
    assert "gpu=1" in plan.partition("rule train:")[2].partition("\n\n")[0]
    assert "--gpu 0" in plan
    assert "--gpu" not in planned(configured("demo.yaml"))[1]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"flods": 5}, "flods"),
        ({"folds": 1}, "minimum"),
        ({"validation": 1.5}, "1.5"),
        ({"models": {"resnet50": {"solver": "x"}}}, "resnet50"),
        ({"models": {"resnet50_mtl": {"net": ""}}}, "solver"),
    ],
    ids=["mistyped", "one fold", "too large a share", "unknown model", "no solver"],
)
def test_refuses_a_wrong_setting_by_its_name(configured, changes, words):
    status, said = planned(configured("demo.yaml", **changes))
    assert status == 1
    assert words in said
