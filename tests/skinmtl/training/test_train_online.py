"""train.py on a net that draws scales online: one seed governs all, and an interrupted run is the undisturbed one."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import numpy as np
import pytest
from conftest import CAFFE

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.training.snapshots import write_record
from skinmtl.training.training_run import train

pytestmark = pytest.mark.caffe
pytest_plugins = ["toy_training"]


@pytest.fixture(scope="module")
def online(toy):
    """A net with online jitter, in two workers, and dropout: 18 records in batches of 4, two passes an iteration."""
    return toy.net(online=True, workers=2)


@pytest.fixture(scope="module")
def without_workers(toy):
    return toy.net(online=True)


@pytest.fixture(scope="module")
def whole_run(toy, online, tool, tmp_path_factory):
    out = tmp_path_factory.mktemp("online") / "run"
    assert tool(*toy.command(out, net=online)[1:]).returncode == 0
    return out


def test_killed_and_stopped_it_ends_as_undisturbed_byte_for_byte(toy, online, whole_run, tmp_path):
    out = tmp_path / "cut"
    for seed, stop in enumerate((signal.SIGKILL, signal.SIGTERM)):
        process = toy.killed_in_between(toy.command(out, "--resume", net=online), out, seed, stop)
        process.communicate()
        assert process.returncode != 0
    subprocess.run(toy.command(out, "--resume", net=online), check=True, stdout=subprocess.PIPE)
    assert toy.same_end(out, whole_run)


def test_it_goes_on_with_other_workers_and_not_with_other_images(toy, whole_run, tmp_path):
    """That it was begun with two workers must not keep it from going on with fewer, as a machine with little memory
    needs."""
    run = tmp_path / "run"
    shutil.copytree(str(whole_run), str(run))
    request = toy.request(run, net=toy.net(online=True, workers=1), plateau=toy.falling, resume=True)
    assert train(request, {}).reason == "finished before; there is nothing to do"
    net = request.net / "train.prototxt"
    net.write_text(net.read_text().replace('"seed": 5', '"seed": 6'))
    with pytest.raises(InputError, match=r"train\.prototxt is another file"):
        train(request, {})


def images_of(solver):
    """Steps once; the images of its last pass."""
    solver.step()
    return np.array(solver._solver.net.blobs["data"].data)


def test_the_runs_seed_draws_and_not_the_param_strs(toy, without_workers, tmp_path):
    images = []
    for number, seed in enumerate((3, 3, 4)):
        solver = toy.solver_at(tmp_path / str(number), without_workers)
        solver.start([], 0.01, seed)
        images.append(images_of(solver))
        solver.close()
    assert (images[0] == images[1]).all()
    assert (images[0] != images[2]).any()


def test_the_place_in_the_data_is_found_by_both_ways(toy, without_workers, tmp_path):
    """exact: the same crops; cycle: under another seed, the same records with their labels."""
    undisturbed, resumed = (toy.solver_at(tmp_path / name, without_workers) for name in ("undisturbed", "resumed"))
    undisturbed.start([], 0.01, 3)
    for _ in range(7):
        undisturbed.step()
    snapshot = write_record(undisturbed.snapshot(), 7, {})
    expected = images_of(undisturbed)
    labels = np.array(undisturbed._solver.net.blobs["lesion_label"].data)
    undisturbed.close()
    assert resumed.passes_of_cycle(7) == 14 % 9
    for seed, passes, same in ((3, 14, True), (99, 14 % 9, False)):
        resumed.restore(snapshot, 0.01, seed, passes)
        assert (images_of(resumed) == expected).all() == same
        assert (resumed._solver.net.blobs["lesion_label"].data == labels).all()
    resumed.close()


def test_plain_caffe_trains_the_same_net_on_the_seed_of_its_param_str(toy, without_workers, tmp_path):
    """`caffe train` against train.py's solver with the same seeds."""
    net = tmp_path / "net"
    net.mkdir()
    for name in ("train.prototxt", "test.prototxt"):
        (net / name).write_text((without_workers / name).read_text().replace('"seed": 5', '"seed": 3'))
    ours = toy.solver_at(tmp_path / "ours", net)
    ours.start([], 0.01, 3)
    for _ in range(6):
        ours.step()
    final = ours.snapshot()
    ours.close()
    text = (tmp_path / "ours" / "solver.prototxt").read_text().replace("max_iter: 100", "max_iter: 6")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("snapshot_"))
    (tmp_path / "solver.prototxt").write_text(f'{text}\nsnapshot_prefix: "{tmp_path}/stock"\n')
    command = [CAFFE, "train", "-solver", str(tmp_path / "solver.prototxt")]
    subprocess.run(command, check=True, stderr=subprocess.PIPE)
    layers = [
        {layer.name: layer.blobs for layer in read_caffemodel(path).layer if layer.blobs}
        for path in (final.with_name(final.name + ".caffemodel"), tmp_path / "stock_iter_6.caffemodel")
    ]
    for name, blobs in layers[0].items():
        for one, other in zip(blobs, layers[1][name]):
            np.testing.assert_allclose(one.data, other.data, rtol=1e-4, atol=1e-7)


def test_data_that_cannot_be_jittered_online_is_refused(toy, tmp_path):
    changed = toy.net(online=True)
    text = (changed / "train.prototxt").read_text()
    for wrong, words in [
        (text.replace("[34, 40]", "[34, 41]"), "has images of 40 pixels on the shorter side, too small to draw 41"),
        (text.replace('"crop"', '"corp"'), "data: param_str has an unknown field 'corp', did you mean 'crop'?"),
        (text.replace('"batch_size": 4', '"batch_size": 6'), "lesion_label reads other records than data"),
    ]:
        (changed / "train.prototxt").write_text(wrong)
        with pytest.raises(InputError, match=words) as error:
            train(toy.request(tmp_path / "run", net=changed), {})
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run").exists()


def test_the_record_of_a_run_holds_its_seed(whole_run):
    assert json.loads((whole_run / "args.json").read_text())["settings"]["seed"] == 3
