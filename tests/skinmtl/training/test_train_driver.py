"""The driver on an engine of pure Python: whatever interrupts a run, and wherever, its end is the undisturbed one's."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.training import driver, snapshots
from skinmtl.training.driver import Training
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.log_file import read_log
from skinmtl.training.phases import Phase
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.rates import RateShape
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.schedule import CONSTANT, Schedule

NAMES = {"lesion": ["a", "b"], "location": ["x", "y", "z"]}
INPUTS = TrainingInputs(
    *(Path("t"), Path("v"), Path("t"), Path("v"), NAMES),
    **{"n_images": 9, "copies": 4, "n_watched": 8, "n_groups": 8, "n_watched_of": {}},
    **{"batch_size": 4, "cycle": 9, "test_passes": 2},
)
SCHEDULE = Schedule(
    max_iter=30,
    test_interval=7,
    snapshot_interval=4,
    display=3,
    base_lr=0.1,
    seed=1,
    plateau=PlateauRule(window=1, patience=1, threshold=0.3, minimum=1e-9),
    watch="error",
    keep_snapshots=None,
    rate_change="auto",
    resume_data="exact",
)


# at 4 and at 14, where a snapshot and a test are due too, and at 17
PHASES = tuple(Phase(("*",), rate, iterations) for rate, iterations in ((0.2, 4), (0.1, 10), (0.05, 3), (0.1, 13)))


RATES = (CONSTANT, RateShape("fixed", 3), RateShape("cosine", 2), RateShape("multistep", gamma=0.5, stepvalue=(2, 9)))


class KilledError(Exception):
    """Stands for a SIGKILL."""


class Folder(RunFolder):
    """A run's folder where a kill may come before or after best.caffemodel is replaced."""

    events: ClassVar[dict] = {}

    def write_best(self, caffemodel):
        iteration = json.loads(caffemodel.with_suffix(".json").read_text())["iteration"]
        for moment in ("before best", "after best"):
            if self.events.get((moment, iteration)) == "kill":
                raise KilledError
            if moment == "before best":
                super().write_best(caffemodel)


class ToyEngine:
    """One weight that every pass through drawn data changes; `events` maps a moment to what happens then."""

    images_per_iteration, reads_again = 4, True

    def __init__(self, folder, events=None, can_set_rate=True):
        self.folder, self.events, self.can_set_rate = folder, events or {}, can_set_rate
        self.stop = driver.StopRequest()
        self.train_net = INPUTS.train_net

    def _happens(self, moment):
        event = self.events.get((moment, self.iteration))
        if event == "kill":
            raise KilledError
        if event == "stop":
            self.stop(signal.SIGTERM, None)

    def start(self, weights, rate, seed):
        self.iteration, self.weight, self.rate, self.seed, self.passes = 0, 1.0, rate, seed, 0
        self.momentum = 0.0

    def restore(self, snapshot, rate, seed, passes, fresh=False):
        assert snapshot.model.read_text() == snapshot.state.read_text()
        self.weight, self.momentum = json.loads(snapshot.state.read_text())
        self.momentum = 0.0 if fresh else self.momentum
        self.iteration, self.rate, self.seed, self.passes = snapshot.iteration, rate, seed, passes

    def passes_of_cycle(self, iteration):
        return iteration % 9

    def set_rate(self, rate):
        if self.can_set_rate:
            self.rate = rate
        return self.can_set_rate

    def step(self):
        self._happens("step")
        self.passes += 1
        drawn = np.random.RandomState([self.seed, self.passes]).uniform()
        self.momentum = 0.5 * self.momentum + self.rate * (self.weight - drawn)
        self.weight -= self.momentum * (self.train_net.name != "phase_2.prototxt")  # where it is frozen
        self.iteration += 1
        return {"lesion": self.weight + drawn, "location": drawn}

    def test_batches(self):
        for number in range(2):
            self._happens("test")
            outputs = np.random.RandomState([self.iteration, number]).normal(size=(4, 5)).astype(np.float32)
            yield {
                "fc_lesion": outputs[:, :2] + np.float32(self.weight),
                "lesion_label": np.eye(2, dtype=np.float32)[[0, 1, 1, 0]],
                "lesion_loss": np.float32(self.weight),
                "fc_location": outputs[:, 2:],
                "location_label": np.array([[0], [1], [2], [0]], np.float32),
                "location_loss": np.float32(1),
            }

    def weights_are_finite(self):
        return np.isfinite(self.weight)

    def snapshot_bytes(self):
        return 100

    def snapshot(self):
        stem = self.folder.snapshots / f"toy_iter_{self.iteration}"
        for suffix in (snapshots.MODEL, snapshots.STATE):
            stem.with_name(stem.name + suffix).write_text(json.dumps([self.weight, self.momentum]))
            self._happens("snapshot")
        return stem


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(driver, "draw_curves", lambda *_: None)
    monkeypatch.setattr(driver, "write_phase_net", lambda *_: None)


def one_process(folder, schedule, events, can_set_rate=True):
    """What one start of train.py does; returns the outcome, or None where it was killed."""
    engine = ToyEngine(folder, events, can_set_rate)
    folder.events = events
    if not folder.args.exists():
        folder.write_args({"settings": {}, "sha256": {}})
    training = Training(engine, folder, INPUTS, schedule)
    last, _ = snapshots.last_whole(folder.snapshots)
    try:
        if last:
            training.go_on(last)
        else:
            training.begin([])
        return training.run(engine.stop)
    except KilledError:
        return None


def result_of(folder):
    rows = [{name: value for name, value in row.items() if name != "images_per_second"} for row in read_log(folder.log)]
    best = folder.read_args()["best"]
    assert best["sha256"] == sha256(folder.best)
    last, _ = snapshots.last_whole(folder.snapshots)
    return rows, best, last.record["progress"]["plateaus"], folder.final.read_text()


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory):
    return lambda: Folder(tmp_path_factory.mktemp("run"))


MOMENTS = st.one_of(
    st.tuples(st.sampled_from(["step", "test", "snapshot"]), st.integers(0, 30), st.sampled_from(["kill", "stop"])),
    st.tuples(st.sampled_from(["before best", "after best"]), st.sampled_from([7, 14, 21, 28, 30]), st.just("kill")),
)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(
    st.lists(MOMENTS, max_size=8),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([2, 4, 7, 100]),
    st.sampled_from([(), PHASES]),
    st.sampled_from([None, SCHEDULE.plateau]),
    st.sampled_from(RATES),
)
def test_whatever_interrupts_it_the_end_is_the_same(
    new_folder, moments, can_set_rate, keep, snapshot_interval, phases, plateau, rates
):
    undisturbed, cut, can_set_rate = new_folder(), new_folder(), can_set_rate or rates.varies
    schedule = replace(SCHEDULE, phases=phases, plateau=plateau, rates=rates)
    one_process(undisturbed, schedule, {})
    schedule = replace(schedule, keep_snapshots=keep, snapshot_interval=snapshot_interval)
    for moment, iteration, event in moments:
        outcome = one_process(cut, schedule, {(moment, iteration): event}, can_set_rate)
        if outcome and outcome.signal:
            assert outcome.signal == signal.SIGTERM
            assert snapshots.last_whole(cut.snapshots)[0].iteration == outcome.iteration or outcome.iteration == 0
    assert one_process(cut, schedule, {}, can_set_rate).iteration == 30
    assert result_of(cut) == result_of(undisturbed)
    if keep:
        assert len(list(cut.snapshots.glob("*.json"))) <= keep


def lowest(folder):
    """Iteration and error of the best test, by the log."""
    errors = {
        int(row["iteration"]): 1 - (row["map_image"] + row["location_top1"]) / 2
        for row in read_log(folder.log)
        if row["map_image"] is not None
    }
    return min(errors.items(), key=lambda test: test[1])


def test_the_curves_have_marks_at_the_best_test_and_where_the_rate_fell(new_folder, monkeypatch):
    folder, drawn = new_folder(), []
    monkeypatch.setattr(driver, "draw_curves", lambda rows, path, marks: drawn.append((len(rows), marks)))
    one_process(folder, SCHEDULE, {})
    rows, (iteration, error) = read_log(folder.log), lowest(folder)
    rows_drawn, marks = drawn[-1]
    assert (rows_drawn, marks.best, marks.best_words) == (len(rows), iteration, f"error {error:.3f}")
    fell = [before["iteration"] for before, after in zip(rows, rows[1:]) if after["lr"] < before["lr"]]
    assert fell and [at for at in marks.plateaus if at < 30] == fell


@pytest.mark.parametrize("moment", ["before best", "after best"])
def test_a_kill_beside_the_best_weights_is_made_up_for(new_folder, moment):
    undisturbed, folder = new_folder(), new_folder()
    one_process(undisturbed, SCHEDULE, {})
    iteration, error = lowest(undisturbed)
    best = undisturbed.read_args()["best"]
    assert (best["iteration"], best["error"]) == (iteration, pytest.approx(error))
    assert one_process(folder, SCHEDULE, {(moment, iteration): "kill"}) is None
    assert snapshots.last_whole(folder.snapshots)[0].iteration == iteration
    assert folder.read_args().get("best", {}).get("iteration") != iteration
    one_process(folder, SCHEDULE, {("step", iteration): "kill"})
    assert folder.read_args()["best"] == best
    assert sha256(folder.best) == best["sha256"]


def test_best_weights_of_after_the_snapshot_that_a_run_goes_on_from_are_not_believed(new_folder):
    """As where the newest snapshot was damaged: the older one knows an older best, whose weights are there or not."""
    for keep, left in ((None, True), (1, False)):
        folder = new_folder()
        schedule = replace(SCHEDULE, keep_snapshots=keep)
        one_process(folder, schedule, {})
        path = folder.snapshots / "toy_iter_30.json"
        record = json.loads(path.read_text())
        record["progress"]["best"] = {"error": 0.9, "iteration": 7, "sha256": "of others"}
        path.write_text(json.dumps(record))
        training = Training(ToyEngine(folder), folder, INPUTS, schedule)
        training.go_on(snapshots.last_whole(folder.snapshots)[0])
        assert folder.best.exists() == left
        assert folder.read_args().get("best", {}).get("iteration") == (7 if left else None)


def test_a_disk_without_links_has_a_copy_of_the_best_weights(new_folder, monkeypatch):
    def no_links(source, target):
        raise OSError("no links here")

    folder = new_folder()
    monkeypatch.setattr("os.link", no_links)
    one_process(folder, SCHEDULE, {})
    assert folder.best.stat().st_nlink == 1
    assert result_of(folder)[1]["iteration"] == lowest(folder)[0]


def test_a_stop_in_the_middle_of_a_test_leaves_the_test_to_the_resumed_run(new_folder):
    folder = new_folder()
    outcome = one_process(folder, SCHEDULE, {("test", 14): "stop"})
    assert (outcome.iteration, outcome.signal) == (14, signal.SIGTERM)
    assert [row["iteration"] for row in read_log(folder.log)][-1] == 12
    one_process(folder, SCHEDULE, {("step", 14): "kill"})
    row = read_log(folder.log)[-1]
    assert row["iteration"] == 14
    assert row["map_class"] is not None


def test_a_stop_in_the_middle_of_the_last_test_is_no_end(new_folder):
    folder, undisturbed = new_folder(), new_folder()
    outcome = one_process(folder, SCHEDULE, {("test", 30): "stop"})
    assert (outcome.iteration, outcome.signal, folder.final.exists()) == (30, signal.SIGTERM, False)
    for each in (folder, undisturbed):
        assert one_process(each, SCHEDULE, {}).signal is None
    assert result_of(folder) == result_of(undisturbed)


def test_the_short_way_through_the_data_takes_another_seed(new_folder):
    folder = new_folder()
    schedule = replace(SCHEDULE, resume_data="cycle")
    one_process(folder, schedule, {("step", 20): "kill"})
    last, _ = snapshots.last_whole(folder.snapshots)
    assert (last.iteration, last.record["data"]) == (20, {"seed": 1, "passes": 20})
    one_process(folder, schedule, {("step", 25): "stop"})
    last, _ = snapshots.last_whole(folder.snapshots)
    # the stop comes in the step of iteration 25, which is finished
    assert (last.iteration, last.record["data"]) == (26, {"seed": 21, "passes": 20 % 9 + 6})


def test_a_rate_that_must_be_set_in_place_and_cannot_is_told(new_folder):
    schedule = replace(SCHEDULE, rate_change="in-place")
    with pytest.raises(InputError, match="--rate-change in-place: this pycaffe cannot"):
        one_process(new_folder(), schedule, {}, can_set_rate=False)


def test_weights_that_are_not_finite_are_never_saved(new_folder, monkeypatch):
    folder = new_folder()
    monkeypatch.setattr(ToyEngine, "weights_are_finite", lambda engine: engine.iteration < 9)
    with pytest.raises(InputError, match="diverged at iteration 12: the weights are NaN") as error:
        one_process(folder, SCHEDULE, {})
    assert f"the last good snapshot is {folder.snapshots / 'toy_iter_8.caffemodel'};" in str(error.value)
    assert snapshots.last_whole(folder.snapshots)[0].iteration == 8


def test_a_disk_without_room_for_a_snapshot_is_told_before_it_is_made(new_folder, monkeypatch):
    folder = new_folder()
    monkeypatch.setattr(ToyEngine, "snapshot_bytes", lambda engine: 1 << 60)
    with pytest.raises(InputError, match=r"the disk has \d+\.\d MB left, a snapshot takes"):
        one_process(folder, SCHEDULE, {})
    assert not list(folder.snapshots.iterdir())
