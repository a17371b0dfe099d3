"""train.py on a small net of boxes and masks in real Caffe: its log, its phases, what it watches and refuses."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess

import numpy as np
import pytest
from dead_weights import kill_proposals

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.nets.dead_proposals import warning
from skinmtl.nets.phases import HEADS
from skinmtl.training.inputs import check_inputs
from skinmtl.training.log_file import read_log
from skinmtl.training.phases import Phase
from skinmtl.training.training_run import train

pytestmark = pytest.mark.caffe
pytest_plugins = ["mask_training"]
NAMES = ("rpn_class", "rpn_box", "class", "box", "mask", "jaccard")
STAGES = (*HEADS, "res4*", "bn4*", "scale4*", "res5*", "bn5*", "scale5*")
PHASES = (Phase(HEADS, 0.01, 5), Phase(STAGES, 0.01, 6), Phase(("*",), 0.001, 5))
FILE = json.dumps({"phases": [{**vars(phase), "trainable": list(phase.trainable)} for phase in PHASES]})


@pytest.fixture(scope="module")
def begun(lesions, tool, tmp_path_factory):
    """A run of six iterations of all layers, from scratch."""
    out = tmp_path_factory.mktemp("runs") / "begun"
    done = tool(*lesions.words(out)[1:])
    assert (done.returncode, done.stderr) == (0, "")
    return out, done.stdout.splitlines()


@pytest.fixture(scope="module")
def words(lesions, begun, tmp_path_factory):
    """The command of a run of three phases, whose trunk comes from `begun`."""
    file = tmp_path_factory.mktemp("phases") / "three.json"
    file.write_text(FILE)
    more = ("--weights", begun[0] / "final.caffemodel", "--phases", file, "--snapshot-interval", 2)
    return lambda out, *rest: lesions.words(out, *more, "--test-interval", 50, *rest)


@pytest.fixture(scope="module")
def phased(words, tool, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "phased"
    done = tool(*words(out, "--keep-snapshots", "all")[1:])
    assert (done.returncode, done.stderr) == (0, "")
    return out


def blobs_at(out, iteration=None):
    name = "final" if iteration is None else next((out / "snapshots").glob(f"*_iter_{iteration}.caffemodel")).stem
    path = (out if iteration is None else out / "snapshots") / f"{name}.caffemodel"
    layers = (layer for layer in read_caffemodel(path).layer if layer.blobs)
    return {layer.name: [np.array(blob.data, np.float32) for blob in layer.blobs] for layer in layers}


def changed(one, other):
    return {name for name in one if any((a != b).any() for a, b in zip(one[name], other[name]))}


def test_the_log_has_every_loss_and_the_sum_of_the_weighted_ones_is_watched(begun):
    out, said = begun
    rows = read_log(out / "log.csv")
    columns = [f"{name}_loss" for name in NAMES] + [f"validation_{name}_loss" for name in NAMES]
    assert list(rows[0]) == ["iteration", "lr", *columns, "dead_proposals", "images_per_second"]
    for row in rows:
        assert row["dead_proposals"] == (0 if row["iteration"] in (3, 6) else None)
        assert all(row[f"{name}_loss"] > 0 for name in NAMES)
        tested = row["iteration"] in (3, 6)
        assert all((row[f"validation_{name}_loss"] is not None) == tested for name in NAMES)
    weights = {name: 10 if name == "rpn_box" else 1 for name in NAMES}
    sums = {
        int(row["iteration"]): sum(weights[name] * row[f"validation_{name}_loss"] for name in NAMES)
        for row in rows
        if row["iteration"] in (3, 6)
    }
    best = json.loads((out / "args.json").read_text())["best"]
    record = json.loads((out / "args.json").read_text())["trained_on"]
    assert (record["training"], record["validation"], record["starting_weights"]) == (8, 4, "none")
    assert best["watched"] == "loss"
    assert best["error"] == pytest.approx(min(sums.values()), rel=1e-5)
    (told,) = (line for line in said if line.startswith("test at iteration 6"))
    assert f"validation loss {sums[6]:.3f}" in told
    assert f"rpn_box {rows[-1]['rpn_box_loss']:.3g}, class " in told
    assert "watched: validation loss of the validation images" in said
    assert "images: 8 to train on, 4 for validation" in said
    assert not any("dead" in line for line in said)


def test_each_phase_changes_its_layers_and_not_a_bit_of_the_trunk_that_is_frozen(begun, phased):
    start, first, second, last = blobs_at(begun[0]), blobs_at(phased, 5), blobs_at(phased, 11), blobs_at(phased)
    heads = {name for name in start if name.startswith(("fpn_", "rpn_", "roi_", "mask_", "fc_"))}
    stages = {name for name in start if re.match("(res|bn|scale)[45]", name)}
    assert heads
    assert stages
    assert changed(start, first) <= heads
    assert {"rpn_conv_P2", "fpn_lateral2"} & changed(start, first) or len(changed(start, first)) > 5
    assert changed(first, second) <= heads | stages
    assert changed(first, second) & stages
    assert changed(second, last) - heads - stages, "the first stages learn too"


def test_killed_in_the_second_phase_it_ends_as_undisturbed_byte_for_byte(lesions, words, phased, tmp_path):
    out = tmp_path / "cut"
    process = subprocess.Popen(words(out, "--resume"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not list((out / "snapshots").glob("*_iter_8.json")):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    iteration = max(int(path.stem.rpartition("_")[2]) for path in (out / "snapshots").glob("*.json"))
    assert (process.returncode, 8 <= iteration < 16) == (-signal.SIGKILL, True)
    subprocess.run(words(out, "--resume"), check=True, stdout=subprocess.PIPE)
    assert lesions.same_end(out, phased)


def test_a_trunk_of_published_weights_has_the_three_phases_where_nothing_is_said(lesions, tmp_path):
    """Its statistics are frozen: without weights that is refused, by the words for phases."""
    net = lesions.net(trunk="resnet50", frozen_batch_norm=True)
    with pytest.raises(InputError, match=r"bn_conv1 has frozen statistics and no weights set them.*first phase train"):
        train(lesions.request(tmp_path / "run", net=net, max_iter=8), {})
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_is_refused_in_one_line(lesions, begun, tmp_path):
    record = json.loads((lesions.varied / "net.json").read_text())
    for name, change, words in [
        (
            "classes",
            {"classes": 3, "class_names": None},
            "tells 3 classes, .* has 2 lesion_names; make the net for this",
        ),
        ("names", {"class_names": ["malignant", "benign"]}, "made for other classes than"),
    ]:
        net = tmp_path / name
        shutil.copytree(str(lesions.varied), str(net))
        (net / "net.json").write_text(json.dumps({**record, **change}))
        with pytest.raises(InputError, match=words) as error:
            check_inputs(net, False)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="--watch error: the net has neither lesions' nor locations' scores; watch"):
        train(lesions.request(tmp_path / "run", watch="error"), {})
    wider = lesions.net(channels=16)
    with pytest.raises(InputError, match=r"does not fit .*fpn_lateral\d: blob 0 is 8 x .* 16 x"):
        train(lesions.request(tmp_path / "run", net=wider, weights=[begun[0] / "final.caffemodel"]), {})
    no_masks = tmp_path / "train"
    shutil.copytree(str(lesions.folder / "train"), str(no_masks))
    shutil.rmtree(str(no_masks / "mask_lmdb"))
    net = tmp_path / "no masks"
    shutil.copytree(str(lesions.varied), str(net))
    text = (net / "train.prototxt").read_text()
    (net / "train.prototxt").write_text(text.replace(str(lesions.folder / "train"), str(no_masks)))
    with pytest.raises(InputError, match="mask_lmdb: no LMDB"):
        train(lesions.request(tmp_path / "run", net=net), {})
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_nan_is_told_by_its_name_with_the_last_good_snapshot(lesions, tool, tmp_path):
    out = tmp_path / "run"
    words = lesions.words(out, "--base-lr", 1e6, "--snapshot-interval", 1, "--max-iter", 30)
    done = tool(*words[1:])
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert re.search(
        r"diverged at iteration \d+: ((rpn_|)(class|box)|mask|jaccard)_loss is (nan|inf);|the weights", done.stderr
    )
    assert "the last good snapshot is" in done.stderr or "there is no snapshot yet" in done.stderr
    assert not (out / "final.caffemodel").exists()


def test_the_trunks_weights_fill_the_trunk_and_the_rest_is_said_to_stay_initial(lesions, begun, tmp_path, capfd):
    from google.protobuf.message import Message

    stored: Message = read_caffemodel(begun[0] / "final.caffemodel")
    trunk = type(stored)()
    trunk.layer.extend(layer for layer in stored.layer if re.match("conv1|bn_|scale_|(res|bn|scale)[2-5]", layer.name))
    (tmp_path / "trunk.caffemodel").write_bytes(trunk.SerializeToString())
    train(lesions.request(tmp_path / "run", weights=[tmp_path / "trunk.caffemodel"], max_iter=1), {})
    said = capfd.readouterr().out
    first, more = re.search(r"trained from their initial values: (.*) and (\d+) more", said).groups()
    filled = {layer.name for layer in trunk.layer}
    others = [layer.name for layer in stored.layer if layer.blobs and layer.name not in filled]
    assert first.split(", ") == others[:5] and len(others) == 5 + int(more)
    assert {name.split("_")[0] for name in others} >= {"fpn", "rpn", "roi", "mask"}


def test_dead_proposals_are_warned_of_at_each_test_and_are_in_the_log(lesions, begun, tmp_path, capfd):
    dead = kill_proposals(begun[0] / "final.caffemodel", tmp_path / "dead.caffemodel")
    out = tmp_path / "run"
    train(lesions.request(out, weights=[dead], max_iter=4), {})
    notes = [line for line in capfd.readouterr().out.splitlines() if line.startswith("note: the proposals")]
    assert notes == ["note: " + warning(4, 4)] * 2
    assert [row["dead_proposals"] for row in read_log(out / "log.csv")] == [None, None, 1, 1]
