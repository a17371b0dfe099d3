"""A training from its first iteration, or from its last whole snapshot, to its end."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from caffe_files.errors import InputError
from skinmtl.figures.curve_panels import Marks
from skinmtl.figures.curves import draw_curves
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS, warning
from skinmtl.training import best, snapshots
from skinmtl.training.divergence import LossGuard, chance_loss
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.log_file import append_row, columns_of, cut_back, read_log, write_rows
from skinmtl.training.phases import phase_until, starts_of, write_phase_net
from skinmtl.training.plateau import Plateau
from skinmtl.training.progress_bar import ProgressBar, say
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.schedule import Schedule
from skinmtl.training.solver import TrainingSolver
from skinmtl.training.stopping import StopRequest
from skinmtl.training.telling import NOTE, WATCHED_WORDS, closing_line, line_of_phase, line_of_rate, line_of_test
from skinmtl.training.validation import metrics_of, validate, watched_error


@dataclass(frozen=True)
class Outcome:
    """Where a training ended, why, in words, and by which signal, if by one."""

    iteration: int
    reason: str
    signal: int | None = None


@dataclass
class Progress:
    """What the next row of the log and the next decisions need to know; it is kept in every snapshot's record.

    tested    the iteration of the last test; `error` is what was watched there
    best      the lowest such error so far, its iteration, and the sha256 of best.caffemodel
    plateaus  the iterations of the tests that found one; of runs from before they were kept, the later ones alone
    """

    rows: int = 0
    tested: int = 0
    error: float | None = None
    best: dict[str, Any] | None = None
    sums: dict[str, float] = field(default_factory=dict)
    iterations: int = 0
    recent: list[float] = field(default_factory=list)
    plateaus: list[int] = field(default_factory=list)


class Training:
    """Drives `engine` by a schedule, and writes what happens to a run folder, which the caller has locked."""

    def __init__(self, engine: TrainingSolver, folder: RunFolder, inputs: TrainingInputs, schedule: Schedule) -> None:
        self._engine, self._folder, self._inputs, self._schedule = engine, folder, inputs, schedule
        self._starts = starts_of(schedule.phases)
        self._phase = 0
        self._plateau = self._plateau_of_phase()
        self._progress = Progress()
        self._guard = self._new_guard()
        metrics = metrics_of(inputs.names, inputs.one_lesion)
        metrics += [DEAD_PROPOSALS] if inputs.proposals else []
        names = ([loss.name for loss in losses] for losses in (inputs.losses, inputs.test_losses))
        self._columns = columns_of(*names, metrics)
        self._last: snapshots.Snapshot | None = None
        self._seconds, self._timed = 0.0, 0
        self._bar: ProgressBar | None = None

    def begin(self, weights: list[Path]) -> None:
        """At iteration 0."""
        snapshots.remove_after(self._folder.snapshots, -1)
        self._folder.remove_best()
        write_rows(self._folder.log, [], self._columns)
        self._take_net()
        self._engine.start(weights, self._rate(0), self._schedule.seed)

    def go_on(self, snapshot: snapshots.Snapshot) -> None:
        """From a snapshot; the log is cut back to it."""
        self._phase = phase_until(self._schedule.phases, snapshot.iteration)
        self._take_net()
        self._plateau = Plateau.from_state(snapshot.record["plateau"])
        self._progress = Progress(**snapshot.record["progress"])
        self._guard = self._new_guard()
        snapshots.remove_after(self._folder.snapshots, snapshot.iteration)
        self._columns = cut_back(self._folder.log, self._progress.rows, snapshot.iteration)
        self._progress.best = self._settled_best(snapshot)
        where = f"{self._folder.path}: goes on from iteration {snapshot.iteration}"
        self._restore(snapshot, where)

    def run(self, stop: StopRequest) -> Outcome:
        """Trains to the end, or until `stop` has a signal: then it leaves a snapshot and comes back."""
        engine, schedule = self._engine, self._schedule
        begun, images = engine.iteration, engine.images_per_iteration
        with ProgressBar(begun, schedule.max_iter, images, a_plateau_ends=schedule.a_plateau_ends) as self._bar:
            while True:
                at = engine.iteration
                better = False
                if self._test_is_due(at):
                    better = self._test(at, stop)
                elif at and at % schedule.display == 0 and self._progress.iterations:
                    self._log(at, {})
                # a stop during the last test leaves it due: the resumed run makes it
                ended = (self._ended_by_plateau() or at >= schedule.max_iter) and not self._test_is_due(at)
                going_on = not ended and stop.signal is None
                next_phase = at in self._starts[1:-1] and at == self._starts[self._phase + 1]
                if at and (better or not going_on or next_phase or at % schedule.snapshot_interval == 0):
                    self._snapshot()
                if better:
                    self._progress.best = best.keep(self._folder, schedule.watch, self._progress.best, self._last)
                if going_on and next_phase:
                    self._begin_phase()
                if going_on:
                    self._bar.step(self._step(), self._rate(at))
                    continue
                if stop.signal is not None and not ended:
                    return Outcome(at, "stopped", stop.signal)
                self._folder.write_final(self._last.model)
                if self._progress.best:
                    self._bar.say(closing_line(schedule.watch, self._progress.best, self._progress.error, at))
                self._draw()
                return Outcome(at, self._reason())

    def _step(self) -> dict[str, float]:
        started = time.monotonic()
        if self._schedule.rates.varies and not self._engine.set_rate(self._rate(self._engine.iteration)):
            raise InputError(
                "this pycaffe cannot write a learning rate at every iteration; train by --schedule plateau or fixed, "
                "without --warm-up, or by --engine torch"
            )
        losses = self._engine.step()
        self._seconds += time.monotonic() - started
        self._timed += 1
        fault = self._guard.fault(losses)
        if fault:
            raise self._diverged(fault)
        progress = self._progress
        progress.sums = {name: progress.sums.get(name, 0.0) + loss for name, loss in losses.items()}
        progress.iterations += 1
        return losses

    def _test_is_due(self, at: int) -> bool:
        due = at % self._schedule.test_interval == 0 or at >= self._schedule.max_iter or at in self._starts[1:]
        return due and at > self._progress.tested

    def _test(self, at: int, stop: StopRequest) -> bool:
        """Tests, logs, and lowers the rate at a plateau; a stop in between leaves the test to the resumed run. Returns
        whether the weights are the best so far."""
        names, one_lesion = self._inputs.names, self._inputs.one_lesion
        values = validate(self._test_batches(), names, lambda: stop.signal is not None, one_lesion)
        if values is None:
            return False
        losses = {name[: -len("_loss")]: value for name, value in values.items() if name.endswith("_loss")}
        fault = LossGuard(float("inf"), []).fault(losses)
        if fault:
            raise self._diverged(fault)
        weights = {loss.name: loss.weight for loss in self._inputs.test_losses}
        error = watched_error(values, self._schedule.watch, weights)
        row = self._log(at, values)
        progress, rate = self._progress, self._rate(at)
        progress.tested, progress.error = at, error
        better = progress.best is None or error < progress.best["error"]
        if better:
            progress.best = {"error": error, "iteration": at}
        # a run of more iterations would not make the last iteration's extra test, which therefore lowers no rate
        due = at % self._schedule.test_interval == 0 and at not in self._starts[1:-1]
        fell = due and self._plateau.observe(error)
        progress.plateaus += [at] * fell
        self._draw()
        self._tell_test(at, row)
        if fell and not self._plateau.ended:
            self._change_rate(rate)
        return better

    def _draw(self) -> None:
        best, words = self._progress.best, WATCHED_WORDS[self._schedule.watch]
        said = (best["iteration"], f"{words} {best['error']:.3f}") if best else (None, "")
        draw_curves(read_log(self._folder.log), self._folder.curves, Marks(*said, self._progress.plateaus))

    def _test_batches(self) -> Iterator[dict[str, np.ndarray]]:
        for number, batch in enumerate(self._engine.test_batches(), 1):
            yield batch
            self._bar.testing(number, self._inputs.test_passes)

    def _tell_test(self, at: int, row: dict[str, Any]) -> None:
        schedule, progress, watch = self._schedule, self._progress, self._schedule.watch
        ended = self._ended_by_plateau() or at >= schedule.max_iter
        left = None if ended else self._bar.seconds_left()
        best, ends = progress.best, schedule.a_plateau_ends
        self._bar.say(line_of_test(at, schedule.max_iter, watch, progress.error, best, row, left, ends))
        if row.get(DEAD_PROPOSALS):
            images = self._inputs.n_watched
            self._bar.say(f"{NOTE} {warning(round(row[DEAD_PROPOSALS] * images), images)}")

    def _change_rate(self, before: float) -> None:
        at, schedule, best_mean = self._engine.iteration, self._schedule, self._plateau.best_mean
        rate = self._rate(at)
        self._bar.say(line_of_rate(at, before, rate, schedule.plateau, schedule.watch, best_mean))
        way = self._schedule.rate_change
        if way != "restore" and self._engine.set_rate(rate):
            return
        if way == "in-place":
            raise InputError("--rate-change in-place: this pycaffe cannot write the learning rate; leave the flag out")
        self._snapshot()
        self._restore(self._last, "restored from a snapshot")

    def _begin_phase(self) -> None:
        """From the snapshot that was just made at the end of the phase before."""
        self._phase += 1
        self._plateau = self._plateau_of_phase()
        self._take_net()
        words = line_of_phase(self._engine.iteration, self._schedule.phases, self._phase)
        self._restore(self._last, words, fresh=True)

    def _take_net(self) -> None:
        """The training net of the phase, where there are phases."""
        phases = self._schedule.phases
        if phases:
            path = self._folder.phase_net(self._phase)
            write_phase_net(self._inputs.train_net, phases, self._phase, path)
            self._engine.train_net = path

    def _rate(self, at: int) -> float:
        """The learning rate of an iteration of this phase."""
        ends = self._starts if self._schedule.phases else [0, self._schedule.max_iter]
        return self._schedule.rate(self._plateau.rate, at, ends[self._phase], ends[self._phase + 1])

    def _plateau_of_phase(self) -> Plateau:
        schedule = self._schedule
        return Plateau(schedule.plateau, schedule.phases[self._phase].base_lr if schedule.phases else schedule.base_lr)

    def _ended_by_plateau(self) -> bool:
        return self._plateau.ended and not self._schedule.phases

    def _settled_best(self, snapshot: snapshots.Snapshot) -> dict[str, Any] | None:
        known = self._progress.best
        settled = best.settle(self._folder, self._schedule.watch, known)
        if known and not settled:
            say(
                f"{self._folder.best}: the weights of iteration {known['iteration']}, the best up to iteration "
                f"{snapshot.iteration}, are gone; the best is sought from there on"
            )
        return settled

    def _restore(self, snapshot: snapshots.Snapshot, where: str, fresh: bool = False) -> None:
        place = snapshot.record["data"]
        seed, passes = place["seed"], place["passes"]
        if self._schedule.resume_data == "cycle":
            seed = (self._schedule.seed + snapshot.iteration) % 2**31
            passes = self._engine.passes_of_cycle(snapshot.iteration)
        reading = f"; {passes} batches are read again to find the place in the data"
        say(where + (reading if self._engine.reads_again else ""))
        self._engine.restore(snapshot, self._rate(snapshot.iteration), seed, passes, fresh)
        self._last = snapshot

    def _snapshot(self) -> None:
        if not self._engine.weights_are_finite():
            raise self._diverged("the weights are NaN or infinite")
        if self._last is not None and self._last.iteration == self._engine.iteration:
            stem = self._last.stem  # the weights are those; only what is known of the run is new
        else:
            self._folder.check_space(self._engine.snapshot_bytes())
            stem = self._engine.snapshot()
        self._progress.recent = self._guard.recent
        record = {
            **({"phase": self._phase + 1} if self._schedule.phases else {}),
            "plateau": self._plateau.state(),
            "data": {"seed": self._engine.seed, "passes": self._engine.passes},
            "progress": asdict(self._progress),
        }
        self._last = snapshots.write_record(stem, self._engine.iteration, record)
        if self._schedule.keep_snapshots:
            snapshots.prune(self._folder.snapshots, self._schedule.keep_snapshots)

    def _log(self, at: int, values: dict[str, float]) -> dict[str, Any]:
        """Adds a row to the log, and returns it."""
        progress = self._progress
        row: dict[str, Any] = {"iteration": at, "lr": self._rate(at - 1), **values}
        if progress.iterations:
            row.update({f"{name}_loss": total / progress.iterations for name, total in progress.sums.items()})
        if self._timed:
            row["images_per_second"] = self._timed * self._engine.images_per_iteration / self._seconds
        append_row(self._folder.log, row, self._columns)
        progress.rows += 1
        progress.sums, progress.iterations = {}, 0
        self._seconds, self._timed = 0.0, 0
        return row

    def _reason(self) -> str:
        if self._ended_by_plateau():
            return f"the error is at a plateau with the smallest learning rate, {self._plateau.rate:g}"
        return "all iterations are done"

    def _new_guard(self) -> LossGuard:
        lesions, locations = (len(self._inputs.names.get(head, [])) for head in ("lesion", "location"))
        others = sum(loss.name not in self._inputs.names for loss in self._inputs.losses)
        return LossGuard(chance_loss(lesions, locations, others, self._inputs.one_lesion), self._progress.recent)

    def _diverged(self, fault: str) -> InputError:
        last = f"the last good snapshot is {self._last.model}" if self._last else "there is no snapshot yet"
        return InputError(
            f"{self._folder.path}: diverged at iteration {self._engine.iteration}: {fault}; {last}; "
            "train anew in another folder with a lower --base-lr"
        )
