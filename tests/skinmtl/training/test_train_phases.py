"""train.py in phases on toy nets in real Caffe: each trains its layers alone, as `caffe train -weights` would."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess

import numpy as np
import pytest
from conftest import CAFFE

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.training.phases import Phase
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.training_run import train

pytestmark = pytest.mark.caffe
pytest_plugins = ["toy_training"]
# at iterations 14 and 26 of 40: neither a test (10) nor a snapshot (6) is due then
PHASES = (Phase(("fc_*",), 0.01, 14), Phase(("conv", "fc_lesion"), 0.02, 12), Phase(("*",), 0.001, 14))
FILE = """phases:
  - {trainable: [fc_*], base_lr: 0.01, iterations: 14}
  - {trainable: [conv, fc_lesion], base_lr: 0.02, iterations: 12}
  - {trainable: ["*"], base_lr: 0.001, iterations: 14}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("phases") / "phases.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def phased(toy, file, tool, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "phased"
    words = [*toy.command(out, "--phases", file, "--keep-snapshots", "all")]
    return out, tool(*without_plateau(words)[1:])


def without_plateau(words):
    at = words.index("--plateau-window")
    return words[:at] + words[at + 6 :]


def blobs_of(path):
    return {
        layer.name: [np.array(blob.data, np.float32) for blob in layer.blobs]
        for layer in read_caffemodel(path).layer
        if layer.blobs
    }


def changed(one, other):
    """The layers of which a bit differs."""
    return {name for name in one if any((a != b).any() for a, b in zip(one[name], other[name]))}


def at(out, iteration):
    return blobs_of(out / "snapshots" / f"toy_iter_{iteration}.caffemodel")


def test_each_phase_changes_its_layers_and_not_a_bit_of_the_others(phased):
    out, done = phased
    assert (done.returncode, done.stderr) == (0, "")
    assert changed(at(out, 6), at(out, 14)) == {"fc_lesion", "fc_location"}
    assert changed(at(out, 14), at(out, 26)) == {"conv", "fc_lesion"}
    assert changed(at(out, 26), at(out, 40)) == {"conv", "fc_lesion", "fc_location"}


def test_one_run_has_one_log_and_one_count_of_iterations(toy, phased):
    out, done = phased
    head, *rows = toy.log_of(out)
    log = [dict(zip(head, row)) for row in rows]
    assert [int(row["iteration"]) for row in log] == [4, 8, 10, 12, 14, 16, 20, 24, 26, 28, 30, 32, 36, 40]
    rates = [0.01] * 5 + [0.02] * 4 + [0.001] * 5
    assert [float(row["lr"]) for row in log] == rates
    tests = [int(row["iteration"]) for row in log if row["map_image"]]
    assert tests == [10, 14, 20, 26, 30, 40], "each phase ends with a test"
    records = {int(path.stem.rpartition("_")[2]): json.loads(path.read_text()) for path in out.glob("snapshots/*.json")}
    assert [records[iteration]["phase"] for iteration in (6, 14, 18, 26, 30)] == [1, 1, 2, 2, 3]
    said = done.stdout.splitlines()
    assert f"{out}: 40 iterations; all iterations are done" == said[-1]
    for line in (
        "iterations: 0 to 40, 8 images each, a test every 10",
        "phase 1: from iteration 0 on: fc_* learn, the rest is frozen, 14 iterations at a learning rate of 0.01",
        "phase 3: from iteration 26 on: all layers learn, 14 iterations at a learning rate of 0.001",
    ):
        assert line in said
    begins = [line for line in said if "begins" in line]
    assert [line.partition(": ")[2].partition(" of")[0] for line in begins] == ["phase 2", "phase 3"]
    assert not [line for line in said if "plateau" in line]
    settings = json.loads((out / "args.json").read_text())["settings"]
    assert settings["phases"][1] == {"trainable": ["conv", "fc_lesion"], "base_lr": 0.02, "iterations": 12}
    assert settings["max_iter"] == 40


def test_it_is_what_caffe_does_phase_by_phase(toy, tmp_path):
    """`caffe train` of each phase's net begins with the weights of the one before, and with no momentum. Its data
    begins again too; so here an iteration sees all 18 images, whose order changes a gradient's last digits alone."""
    net = toy.net(varied=False, batch=9)
    out = tmp_path / "run"
    train(toy.request(out, net=net, phases=PHASES, max_iter=None), {})
    text = re.sub("snapshot_.*", "", (out / "solver.prototxt").read_text())
    weights = []
    for number, phase in enumerate(PHASES, 1):
        solver = tmp_path / f"solver{number}.prototxt"
        mine = re.sub("base_lr: .*", f"base_lr: {phase.base_lr}", text)
        mine = re.sub("train_net: .*", f'train_net: "{out}/phase_{number}.prototxt"', mine)
        mine = re.sub("max_iter: .*", f'max_iter: {phase.iterations} snapshot_prefix: "{tmp_path}/stock{number}"', mine)
        solver.write_text(mine)
        subprocess.run([CAFFE, "train", "-solver", str(solver), *weights], check=True, stderr=subprocess.PIPE)
        weights = ["-weights", f"{tmp_path}/stock{number}_iter_{phase.iterations}.caffemodel"]
    ours, theirs = blobs_of(out / "final.caffemodel"), blobs_of(weights[1])
    for name, blobs in theirs.items():
        for found, expected in zip(ours[name], blobs):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_killed_in_any_phase_it_ends_as_undisturbed_byte_for_byte(toy, file, phased, tmp_path):
    out = tmp_path / "cut"
    words = without_plateau(toy.command(out, "--phases", file, "--resume"))
    cuts = 0
    for seed in range(3):
        process = toy.killed_in_between(words, out, seed)
        cuts += process.returncode == -signal.SIGKILL
        process.communicate()
    assert cuts >= 2
    assert subprocess.run(words, stdout=subprocess.PIPE).returncode == 0
    assert toy.same_end(out, phased[0])


@pytest.mark.parametrize("iteration", [13, 14, 15, 24, 26])
def test_from_every_snapshot_around_a_phases_end_it_goes_on_as_undisturbed(toy, phased, tmp_path, iteration):
    out = tmp_path / "run"
    shutil.copytree(str(phased[0]), str(out))
    (out / "final.caffemodel").unlink()
    for path in (out / "snapshots").iterdir():
        if int(path.stem.rpartition("_")[2]) > iteration:
            path.unlink()
    train(toy.request(out, phases=PHASES, resume=True), {})
    assert toy.same_end(out, phased[0])


def test_a_resume_with_other_phases_is_refused(toy, phased, file, tmp_path):
    others = (PHASES[0], PHASES[1], Phase(("*",), 0.002, 14))
    for phases, words in [
        (others, "its phases were others"),
        ((), "it had phases; give"),
        (PHASES[:2], "its phases were others"),
    ]:
        with pytest.raises(InputError, match=f"was begun with other arguments: {words}"):
            train(toy.request(phased[0], phases=phases, resume=True), {})
    train(toy.request(tmp_path / "run", max_iter=1, base_lr=0.01), {})
    with pytest.raises(InputError, match="it had no phases"):
        train(toy.request(tmp_path / "run", phases=(Phase(("*",), 0.01, 4),), resume=True), {})


def test_a_rule_of_plateaus_begins_anew_in_each_phase_and_ends_none(toy, tmp_path):
    rule = PlateauRule(window=1, patience=1, threshold=0.9, minimum=0.001)
    phases = (Phase(("fc_*",), 0.01, 7), Phase(("*",), 0.02, 5))
    train(toy.request(tmp_path / "run", phases=phases, plateau=rule, test_interval=2), {})
    head, *rows = toy.log_of(tmp_path / "run")
    rates = {int(row[0]): float(row[head.index("lr")]) for row in rows}
    # the first test of a phase sets the best, the second is no better; below 0.001 the rate does not go
    assert [rates[iteration] for iteration in (2, 4, 6, 7)] == [0.01, 0.01, 0.001, 0.001]
    assert [rates[iteration] for iteration in (8, 10, 12)] == [0.02, 0.02, 0.002]


def test_what_fits_no_layer_is_refused_before_anything_is_written(toy, file, tool, tmp_path):
    frozen = 'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }'
    for changes, words in [
        ({"phases": (PHASES[0], Phase(("res5*",), 0.1, 3))}, "train.prototxt: phase 2 .*'res5.' fits no layer"),
        (
            {"phases": PHASES, "net": toy.net(extra=frozen)},
            "bn has frozen statistics and no weights set them.* let the first phase train that layer",
        ),
    ]:
        with pytest.raises(InputError, match=words) as error:
            train(toy.request(tmp_path / "run", **changes), {})
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run").exists()
    done = tool(*toy.command(tmp_path / "run", "--phases", file, "--max-iter", 3)[1:])
    assert (done.returncode, "--max-iter and --base-lr go without --phases" in done.stderr) == (2, True)
