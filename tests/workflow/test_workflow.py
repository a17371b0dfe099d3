"""The experiment's workflow: what it plans, what it refuses, and that a killed one ends as an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from skinmtl.data.demo.data_set import make as draw

yaml = pytest.importorskip("yaml", reason="the workflow runs on Snakemake's Python: make .venv/ready")
SNAKEMAKE = shutil.which("snakemake", path=str(Path(sys.executable).parent))
CAFFE_BIN = ROOT / ".caffe" / "bin"
pytestmark = pytest.mark.skipif(SNAKEMAKE is None, reason="no Snakemake beside this Python: make .venv/ready")


def settings_of(name):
    """What workflow/NAME, or a preset, says to the workflow."""
    for path in (ROOT / "workflow" / name, ROOT / "workflow" / "presets" / name):
        if path.exists():
            said = yaml.safe_load(path.read_text())
            return {key: value for key, value in said.items() if key not in ("about", "usual_models", "needs")}


@pytest.fixture
def configured(tmp_path):
    """Writes a configuration of workflow/NAME with `changes`; what it names and is not there becomes an empty file."""

    def write(name, **changes):
        config = {**settings_of(name), "out": str(tmp_path / "out"), **changes}
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


@pytest.mark.parametrize("name", ["demo.yaml", "tiny.yaml", "resnet50.yaml", "paper.yaml"])
def test_builds_each_data_set_once_and_trains_every_model_on_every_fold(configured, name):
    status, plan = planned(configured(name))
    assert status == 0, plan
    counts = jobs(plan)
    assert (counts["folds"], counts["training_data"], counts["validation_data"]) == (1, 5, 5)
    assert (counts["net"], counts["train"], counts["score"]) == (20, 20, 20)
    assert (counts["ensemble"], counts["evaluate"], counts["figure3"], counts["report"]) == (5, 25, 1, 1)
    assert (counts["describe"], counts["leakage"], counts["export"]) == (1, 1, 1)
    assert (counts["errors"], counts["error_maps"], counts["neighbours"]) == (1, 5, 5)


def test_where_there_are_masks_the_maps_of_all_test_images_are_held_against_them(configured, tmp_path):
    plan = planned(configured("demo.yaml", masks=str(tmp_path / "true masks")))[1]
    assert (jobs(plan)["maps"], jobs(plan)["maps_in_masks"]) == (5, 1)
    assert f"--masks '{tmp_path}/true masks'" in plan
    assert "--overlay none" in plan
    assert "maps" not in jobs(planned(configured("demo.yaml"))[1])


def test_one_fold_alone_is_made_and_shown(configured):
    counts = jobs(planned(configured("demo.yaml", only_folds=[3]))[1])
    assert (counts["training_data"], counts["train"], counts["evaluate"]) == (1, 4, 5)
    plan = planned(configured("demo.yaml", only_folds=[3]))[1]
    assert "/fold3/resnet50_mtl/attention" in plan and "/fold0" not in plan
    assert "--fail-if-incomplete" not in plan


def test_folds_that_are_given_are_taken_as_they_are(configured, tmp_path):
    folds = tmp_path / "my folds.csv"
    folds.write_text("image,fold\na.jpg,0\nb.jpg,2\nc.jpg,2\n")
    status, plan = planned(configured("demo.yaml", folds=str(folds)))
    assert status == 0, plan
    assert jobs(plan)["training_data"] == 2
    assert f"cp '{folds}'" in plan and "make_folds.py" not in plan
    assert "/fold2/" in plan and "/fold1/" not in plan
    status, said = planned(configured("demo.yaml", folds=str(folds), only_folds=[1]))
    assert status == 1 and "the folds are [0, 2]" in said


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


def test_the_engine_is_caffe_where_nothing_else_is_said(configured):
    plan = planned(configured("demo.yaml"))[1]
    assert "--engine" not in plan
    assert "--precision" not in plan


def test_another_engine_runs_every_net(configured):
    status, plan = planned(configured("paper.yaml", engine="torch", precision="bf16"))
    assert status == 0, plan
    commands = [line for line in plan.splitlines() if line.startswith("Shell command: ")]
    runs_a_net = ("train.py", "score.py", "extract_features.py", "attend.py")
    for command in commands:
        wanted = any(f"tools/{name}" in command for name in runs_a_net)
        assert ("--engine torch --precision bf16" in command) == wanted, command


@pytest.mark.parametrize("engine, python", [("caffe", ".caffe"), ("torch", ".venv")])
def test_the_python_is_where_make_puts_that_of_the_engine(configured, tmp_path, engine, python):
    """Pythons that write their own place to the last argument, here the folds."""
    for place in (".caffe", ".venv"):
        stand_in = tmp_path / place / "bin" / "python3"
        stand_in.parent.mkdir(parents=True)
        stand_in.write_text(f'#!/bin/sh\nfor last; do :; done\necho {place} >"$last"\n')
        stand_in.chmod(0o755)
    folds = tmp_path / "out" / "folds.csv"
    command = snakemake(configured("demo.yaml", engine=engine), str(folds))
    done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert folds.read_text().strip() == python


def test_paths_may_have_spaces(configured, tmp_path):
    paths = {name: str(tmp_path / f"my {name}") for name in ("out", "manifest", "images")}
    Path(paths["manifest"]).touch()
    status, plan = planned(configured("demo.yaml", **paths))
    commands = [
        line.partition(": ")[2] for line in plan.splitlines() if line.startswith("Shell command: python3 tools/")
    ]
    assert (status, len(commands)) == (0, sum(jobs(plan).values()) - 1), plan
    for command in commands:
        mine = [word for word in shlex.split(command) if "my " in word or word.startswith(tuple(paths))]
        assert len(mine) >= 2
        assert all(word.lstrip(">").startswith(str(tmp_path / "my ")) for word in mine), command


def test_the_column_of_groups_reaches_every_command_that_reads_the_manifest(configured):
    status, plan = planned(configured("demo.yaml", group_column="patient id"), "--printshellcmds")
    commands = [shlex.split(line) for line in plan.splitlines() if line.startswith("Shell command: python3 tools/")]
    told = {command[3] for command in commands if "--manifest" in command}
    assert (status, len(told)) == (0, 10), plan
    for command in commands:
        assert ("--manifest" in command) == ("patient id" in command), command


def commands_of(plan, tool):
    """The words of each command of a tool, by where it writes to, seen from the output folder."""
    lines = [shlex.split(line) for line in plan.splitlines() if line.startswith("Shell command: python3 tools/")]
    return {line[line.index("--out") + 1].rpartition("/out/")[2]: line for line in lines if line[3].endswith(tool)}


def test_each_model_is_trained_from_every_seed_on_the_same_data_and_the_first_stays_where_it_was(configured):
    one = planned(configured("demo.yaml", only_folds=[0]), "--printshellcmds")[1]
    status, plan = planned(configured("demo.yaml", only_folds=[0], seeds=3), "--printshellcmds")
    assert status == 0, plan
    counts = jobs(plan)
    assert (counts["training_data"], counts["net"], counts["train"], counts["train_again"]) == (1, 4, 4, 8)
    assert (counts["score_again"], counts["ensemble_again"], counts["evaluate_again"]) == (8, 2, 10)
    before, now = commands_of(one, "train.py"), commands_of(plan, "train.py")
    assert {place: now.pop(place) for place in before} == before
    assert "--seed" not in before["fold0/resnet50_mtl/run"]
    for place, words in now.items():
        _, number, model, _ = place.split("/")
        assert words[words.index("--seed") + 1] == number[4:]  # the solvers' own seed, the first, is 1
        assert words[words.index("--net") + 1].endswith(f"/fold0/{model}/net")
    scores = commands_of(plan, "score.py")["fold0/seed2/resnet50_mtl/scores.npz"]
    assert scores[scores.index("--weights") + 1].endswith("fold0/seed2/resnet50_mtl/run/final.caffemodel")
    (report,) = commands_of(plan, "report.py").values()
    assert report[report.index("--seeds") + 1] == "3"
    best = commands_of(plan, "ensemble.py")["fold0/seed3/ensemble/scores.npz"]
    assert sum("/fold0/seed3/resnet50_" in word for word in best) == 2


def test_the_next_seeds_follow_the_first_wherever_that_was_set(configured, tmp_path):
    solver = tmp_path / "solver.prototxt"
    solver.write_text("# random_seed: 3\nrandom_seed: 7\n")
    for more, seed in (({}, "8"), ({"train": "--seed 40"}, "41")):
        models = {"resnet50_mtl": {**settings_of("demo.yaml")["models"]["resnet50_mtl"], "solver": str(solver), **more}}
        plan = planned(configured("demo.yaml", models=models, only_folds=[0], seeds=2), "--printshellcmds")[1]
        words = commands_of(plan, "train.py")["fold0/seed2/resnet50_mtl/run"]
        assert [second for first, second in zip(words, words[1:]) if first == "--seed"][-1] == seed


def test_nets_that_draw_lesions_have_one_training_each(configured):
    status, said = planned(configured("mask-demo.yaml", seeds=2))
    assert status == 1 and "is of one training" in said


def test_a_published_net_its_weights_and_their_licence_reach_the_commands_that_take_them(configured, tmp_path):
    models = settings_of("demo.yaml")["models"]
    (tmp_path / "thin net.prototxt").touch()
    model = {**models["resnet50_mtl"], "trunk_net": str(tmp_path / "thin net.prototxt"), "weights": "w.caffemodel"}
    changes = {"models": {"resnet50_mtl": model}, "weights_licence": "CC BY 4.0", "only_folds": [0]}
    status, plan = planned(configured("demo.yaml", **changes), "--printshellcmds")
    assert (status, jobs(plan).get("figure3")) == (0, 1), plan
    commands = [shlex.split(line) for line in plan.splitlines() if line.startswith("Shell command: python3 tools/")]
    (net,) = (command for command in commands if command[3].endswith("make_prototxt.py"))
    assert net[net.index("--trunk-net") + 1] == str(tmp_path / "thin net.prototxt")
    (train,) = (command for command in commands if command[3].endswith("train.py"))
    assert train[train.index("--weights-licence") + 1] == "CC BY 4.0"
    without = jobs(planned(configured("demo.yaml", **changes, figure3=False))[1])
    assert not {"figure3", "attention", "features", "errors", "error_maps"} & set(without)


def test_a_report_without_photographs_makes_no_maps_and_says_so_to_the_report(configured):
    plans = {}
    for photographs in (True, False):
        changes = {"only_folds": [0], "photographs": photographs}
        plans[photographs] = planned(configured("demo.yaml", **changes), "--printshellcmds")[1]
    assert not {"figure3", "attention", "errors", "error_maps"} & set(jobs(plans[False]))
    (report,), (without,) = (commands_of(plan, "report.py").values() for plan in plans.values())
    assert "--images" in report and "--no-photographs" not in report
    assert "--images" not in without and "--no-photographs" in without
    assert report[report.index("--errors") + 1] == "6"  # the preset's


def test_only_all_of_the_papers_models_make_a_complete_report(configured):
    models = settings_of("demo.yaml")["models"]
    one = {"resnet50_mtl": models["resnet50_mtl"]}
    assert "--fail-if-incomplete" not in planned(configured("demo.yaml", models=one))[1]
    assert "--fail-if-incomplete" in planned(configured("demo.yaml"))[1]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"flods": 5}, "flods"),
        ({"folds": 1}, "minimum"),
        ({"validation": 1.5}, "1.5"),
        ({"engine": "pytorch"}, "pytorch"),
        ({"precision": "bf16"}, "bf16"),
        ({"models": {"resnet50": {"solver": "x"}}}, "resnet50"),
        ({"models": {"resnet50_mtl": {"net": ""}}}, "solver"),
    ],
    ids=[
        "mistyped",
        "one fold",
        "too large a share",
        "unknown engine",
        "Caffe has fp32 alone",
        "unknown model",
        "no solver",
    ],
)
def test_refuses_a_wrong_setting_by_its_name(configured, changes, words):
    status, said = planned(configured("demo.yaml", **changes))
    assert status == 1
    assert words in said


@pytest.fixture(scope="module")
def tiny_experiment(tmp_path_factory):
    """Two folds of 60 drawn images, two tiny nets of thirty iterations: a configuration for any output folder."""
    folder = tmp_path_factory.mktemp("experiment")
    draw(folder / "data", images=60, patients=20, seed=1, workers=2)
    config = settings_of("demo.yaml")
    models = {name: config["models"][name] for name in ("resnet50_lesion", "resnet50_mtl")}
    config.update(manifest=str(folder / "data/manifest.csv"), images=str(folder / "data/images"), models=models)
    config.update(path=str(CAFFE_BIN), folds=2, train="--max-iter 30 --test-interval 10", resamples=100, figure3_rows=1)
    config.update(errors=0)  # test_run.py makes those pages

    def configure(out):
        path = folder / f"{out}.yaml"
        path.write_text(yaml.safe_dump({**config, "out": str(folder / out)}))
        return path, folder / out

    return configure


def tables(out):
    """The report's tables, and every fold's figures: what must not depend on how often the experiment was cut."""
    report = {path.name: path.read_text() for path in (out / "report").glob("*.csv") if path.name != "runs.csv"}
    assert {"table1.csv", "table1_folds.csv", "mtl_against_resnet.csv", "confusion.csv"} <= set(report)
    for path in sorted(out.glob("fold*/*/metrics.json")):
        figures = json.loads(path.read_text())
        report[str(path.relative_to(out))] = {key: figures[key] for key in ("map_class", "map_image", "location_top1")}
    return report


@pytest.mark.slow
@pytest.mark.skipif(not CAFFE_BIN.exists(), reason="no .caffe: make caffe")
def test_an_experiment_killed_twice_ends_as_an_undisturbed_one(tiny_experiment):
    config, whole = tiny_experiment("undisturbed")
    done = subprocess.run(snakemake(config), cwd=str(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (whole / "figure3.png").exists()

    config, cut = tiny_experiment("cut")
    for number, wait in enumerate(random.Random(1).choices(range(10), k=2)):
        quietly = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        process = subprocess.Popen(snakemake(config), cwd=str(ROOT), **quietly)
        started = time.monotonic()
        while len(list(cut.glob("fold*/*/run/log.csv"))) <= number and time.monotonic() < started + 120:
            time.sleep(0.1)
        time.sleep(wait / 2)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (cut / "report").exists()
    done = subprocess.run(snakemake(config), cwd=str(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert tables(cut) == tables(whole)

    nothing = subprocess.run(snakemake(config), cwd=str(ROOT), capture_output=True, text=True)
    assert "Nothing to be done" in nothing.stdout + nothing.stderr
