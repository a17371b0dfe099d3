"""train.py on toy nets in real Caffe: an interrupted run ends as the undisturbed one."""

from __future__ import annotations

import shutil
import signal
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from skinmtl.training.training_run import train

pytestmark = pytest.mark.caffe
pytest_plugins = ["toy_training"]


@pytest.mark.slow
def test_killed_at_random_points_it_ends_as_undisturbed(toy, undisturbed, tmp_path):
    """Crops, mirrors and dropout are drawn at random, and yet every byte of the final weights is the same."""
    out, cuts = tmp_path / "cut", 0
    for seed in range(3):
        process = toy.killed_in_between(toy.command(out, "--resume"), out, seed)
        cuts += process.returncode == -signal.SIGKILL
        process.communicate()
    assert cuts >= 2
    done = subprocess.run(toy.command(out, "--resume"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert toy.same_end(out, undisturbed.out)
    assert not [path for path in out.rglob("*") if ".partial" in path.name and path.is_dir()]


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_a_stop_leaves_a_snapshot_and_one_line(toy, undisturbed, tmp_path, stop):
    out, number = tmp_path / "run", getattr(signal, stop)
    process = toy.killed_in_between(toy.command(out), out, 1, number)
    _, stderr = process.communicate()
    assert process.returncode == 128 + number
    iterations = sorted(int(path.stem.rpartition("_")[2]) for path in (out / "snapshots").glob("*.json"))
    assert stderr == (
        f"train.py: stopped by {stop} at iteration {iterations[-1]}; the same command with --resume goes on\n"
    )
    assert not (out / "final.caffemodel").exists()
    if stop == "SIGTERM":
        subprocess.run(toy.command(out, "--resume"), check=True, stdout=subprocess.PIPE)
        assert toy.same_end(out, undisturbed.out)


def test_a_rate_change_by_restoring_gives_the_same_weights(undisturbed, toy, tmp_path):
    """What a Caffe has to do whose pycaffe cannot write the rate."""
    train(toy.request(tmp_path / "run", plateau=toy.falling, rate_change="restore"), {})
    assert toy.same_end(tmp_path / "run", undisturbed.out)


def test_a_run_that_was_moved_goes_on_and_may_get_more_iterations(undisturbed, toy, tmp_path, capfd):
    first, moved = tmp_path / "first", tmp_path / "moved"
    train(toy.request(first, plateau=toy.falling, max_iter=20), {})
    assert (first / "final.caffemodel").exists()
    first.rename(moved)
    train(toy.request(moved, plateau=toy.falling, resume=True), {})
    assert f"{moved}: goes on from iteration 20" in capfd.readouterr().out
    assert toy.same_end(moved, undisturbed.out)
    again = train(toy.request(moved, plateau=toy.falling, resume=True), {})
    assert (again.iteration, again.reason) == (40, "finished before; there is nothing to do")


def test_a_broken_snapshot_is_passed_over(undisturbed, toy, tmp_path, capfd):
    out = tmp_path / "run"
    shutil.copytree(str(undisturbed.out), str(out))
    (out / "final.caffemodel").unlink()
    for iteration in (36, 40):
        state = out / "snapshots" / f"toy_iter_{iteration}.solverstate"
        state.write_bytes(state.read_bytes()[:-100])
    train(toy.request(out, plateau=toy.falling, resume=True), {})
    said = capfd.readouterr().out
    assert "toy_iter_40: not whole, passed over" in said
    assert "goes on from iteration 30" in said
    assert toy.same_end(out, undisturbed.out)


def test_less_than_a_cycle_of_reading_finds_the_same_record(toy, tmp_path):
    """18 records in batches of 4: after 9 batches the data is where it began. With nothing drawn at random, a resume
    by the short way is the undisturbed run too."""
    from skinmtl.training.snapshots import write_record

    net = toy.net(varied=False)
    undisturbed = toy.solver_at(tmp_path, net)
    undisturbed.start([], 0.01, 3)
    for _ in range(7):
        undisturbed.step()
    snapshot = write_record(undisturbed.snapshot(), 7, {})
    assert undisturbed.passes == 14
    resumed = toy.solver_at(tmp_path, net)
    assert resumed.passes_of_cycle(7) == 14 % 9
    resumed.restore(snapshot, 0.01, 99, resumed.passes_of_cycle(7))
    for _ in range(5):
        assert resumed.step() == undisturbed.step()
        for name, blobs in undisturbed._solver.net.params.items():
            for ours, theirs in zip(resumed._solver.net.params[name], blobs):
                np.testing.assert_array_equal(ours.data, theirs.data)


def test_a_caffe_that_cannot_write_the_rate_is_found_out(toy, tmp_path):
    solver = toy.solver_at(tmp_path, toy.varied)
    solver.start([], 0.01, 3)
    assert solver.set_rate(0.001)
    solver._solver = SimpleNamespace()  # release 1.0 has no `param`
    assert not solver.set_rate(0.001)
