"""What a training says, as text. Nothing here prints.

Lines that begin with TEST are the tests, those with AT say in between how far the training is, that with BEST how the
last weights compare with the best ones, those with NOTE what the validation set cannot tell, or warns of: other
programs may pick them out by these words.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from skinmtl.training.phases import Phase, starts_of
from skinmtl.training.watched_interval import half_width

if TYPE_CHECKING:
    from skinmtl.training.inputs import TrainingInputs
    from skinmtl.training.plateau import PlateauRule
    from skinmtl.training.schedule import Schedule

TEST, AT, BEST, NOTE = "test at iteration", "at iteration", "best.caffemodel", "note:"
FIGURES = {
    "map_class": "mAP-class",
    "map_image": "mAP-image",
    "location_top1": "top-1",
    "balanced_accuracy": "balanced accuracy",
}
ERROR_OF = {"lesion": "map_image", "location": "location_top1"}  # a head's part in the error: validation.watched_error
# what --watch names -> what its error is called
WATCHED_WORDS = {
    "error": "error",
    "loss": "validation loss",
    "lesion_loss": "validation loss (lesions)",
    "location_loss": "validation loss (locations)",
    **{name: f"1 - {words}" for name, words in FIGURES.items()},
}


def opening_lines(
    folder: Path, engine: str, inputs: TrainingInputs, images_per_iteration: int, schedule: Schedule, first: int
) -> list[str]:
    """What will be trained, from iteration `first` on."""
    phases = schedule.phases
    parts = [f"1 - {FIGURES[name]}" for head, name in ERROR_OF.items() if head in inputs.names]
    means = f", {'the mean of ' * (len(parts) > 1)}{' and '.join(parts)}" if schedule.watch == "error" else ""
    copies = f" (each stored {inputs.copies} times)" if inputs.copies > 1 else ""
    lines = [
        f"training in {folder} with {engine}",
        f"images: {inputs.n_images} to train on{copies}, {inputs.n_watched} for validation",
        f"iterations: {first} to {schedule.max_iter}, {images_per_iteration} images each, a test every "
        f"{schedule.test_interval}{'; a plateau may end training earlier' if schedule.a_plateau_ends else ''}",
        f"watched: {WATCHED_WORDS[schedule.watch]} of the validation images{means}",
    ]
    for number, (start, phase) in enumerate(zip(starts_of(phases), phases), 1):
        lines.append(f"phase {number}: from iteration {start} on: {_phase(phase)}")
    fall = f"divided by {schedule.plateau.factor:g} at each plateau of what is watched" if schedule.plateau else ""
    changes = " and ".join(filter(None, [schedule.rates.words(), fall]))
    if not phases:
        at_first = "" if schedule.rates.warm_up else " at first"
        lines.append(f"learning rate: {schedule.base_lr:g}" + (f"{at_first}, {changes}" if changes else ""))
    elif changes:
        lines.append(f"learning rate: in each phase {changes}")
    return lines + (_chance(inputs, schedule) if schedule.plateau else [])


def line_of_test(
    iteration: int,
    max_iter: int,
    watch: str,
    error: float,
    best: Mapping[str, Any],
    row: Mapping[str, Any],
    seconds_left: float | None,
    a_plateau_ends: bool = True,
) -> str:
    """A test: `row` is its row of log.csv; `best` has the error and the iteration of the best test so far.

    >>> row = {"lr": 0.001, "lesion_loss": 2.31, "map_class": 0.431, "map_image": 0.552, "images_per_second": 25.1}
    >>> line_of_test(2000, 9000, "error", 0.448, {"error": 0.43, "iteration": 1000}, row, 4400)[:80]
    'test at iteration 2000 of 9000: error 0.448 (best: 0.430 at iteration 1000), mAP'
    """
    place = "the best so far" if best["iteration"] == iteration else f"best: {_best(best)}"
    figures = [f"{WATCHED_WORDS[watch]} {error:.3f} ({place})"]
    figures += [f"{words} {row[name]:.3f}" for name, words in FIGURES.items() if row.get(name) is not None]
    parts = [
        ", ".join(figures),
        *_training(row),
        f"learning rate {row['lr']:g}",
        *_pace(row, seconds_left, a_plateau_ends),
    ]
    return f"{TEST} {iteration} of {max_iter}: {'; '.join(parts)}"


def line_between(
    iteration: int,
    max_iter: int,
    losses: Mapping[str, float],
    images_per_second: float,
    seconds_left: float | None,
    a_plateau_ends: bool = True,
) -> str:
    """Where a training is between two tests; `losses` are those of the last iteration, by head."""
    row = {**{f"{head}_loss": loss for head, loss in losses.items()}, "images_per_second": images_per_second}
    return f"{AT} {iteration} of {max_iter}: {'; '.join([*_training(row), *_pace(row, seconds_left, a_plateau_ends)])}"


def line_within_test(iteration: int, max_iter: int, done: int, passes: int) -> str:
    """Where a training is within a test."""
    return f"{AT} {iteration} of {max_iter}: testing, batch {done} of {passes}"


def line_of_phase(iteration: int, phases: Sequence[Phase], number: int) -> str:
    """That a phase begins, from 0."""
    return f"{AT} {iteration}: phase {number + 1} of {len(phases)} begins: {_phase(phases[number])}"


def line_of_rate(iteration: int, before: float, now: float, rule: PlateauRule, watch: str, best_mean: float) -> str:
    """That the learning rate falls, and why."""
    times = f"in {rule.patience} tests in a row" if rule.patience > 1 else "in the last test"
    what = f"its mean over {rule.window} tests" if rule.window > 1 else "it"
    share = f"{100 * rule.threshold:g} % " if rule.threshold else ""
    return (
        f"{AT} {iteration}: learning rate {before:g} -> {now:g}: the watched {WATCHED_WORDS[watch]} is at a plateau "
        f"({times} {what} was not {share}below the best one, {best_mean:.3f})"
    )


def closing_line(watch: str, best: Mapping[str, Any], last: float, iteration: int) -> str:
    """How the last weights compare with the best; `last` is the error at the last iteration."""
    words = WATCHED_WORDS[watch]
    if best["iteration"] == iteration:
        return f"{BEST} and final.caffemodel are the same: {words} {_best(best)}"
    return f"{BEST}: {words} {_best(best)}; final.caffemodel: {words} {last:.3f} at iteration {iteration}"


def duration(seconds: float) -> str:
    """In two units at most.

    >>> [duration(seconds) for seconds in (0.4, 59.6, 3599, 5000, 200000)]
    ['1 s', '1 min', '1 h 0 min', '1 h 23 min', '2 d 7 h']
    """
    if round(seconds) < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _chance(inputs: TrainingInputs, schedule: Schedule) -> list[str]:
    """A warning where chance moves the watched error by more than a plateau is judged by; of a mask net's losses it is
    not known how far."""
    if inputs.mask_net is not None:
        return []
    error, half = half_width(schedule.watch, inputs.n_watched_of, inputs.n_watched, inputs.n_groups)
    gain = schedule.plateau.threshold * error
    if 2 * half <= gain:
        return []
    of = f"{inputs.n_watched} validation image{'s' * (inputs.n_watched > 1)}"
    if inputs.n_groups is not None and inputs.n_groups < inputs.n_watched:
        of += f" of {inputs.n_groups} group{'s' * (inputs.n_groups > 1)}"
    words = WATCHED_WORDS[schedule.watch]
    watched = words if words.startswith("1 - ") else f"the {words}"
    return [
        f"{NOTE} {of} tell {watched} to about +-{half:.2g} (95 %), but a gain of "
        f"{100 * schedule.plateau.threshold:g} %, about {gain:.1g}, decides what is a plateau: chance plays a part in "
        "that and in which test is the best; set more images aside with make_lmdb.py --validation"
    ]


def _phase(phase: Phase) -> str:
    layers = "all layers learn" if "*" in phase.trainable else f"{' '.join(phase.trainable)} learn, the rest is frozen"
    return f"{layers}, {phase.iterations} iterations at a learning rate of {phase.base_lr:g}"


def _best(best: Mapping[str, Any]) -> str:
    return f"{best['error']:.3f} at iteration {best['iteration']}"


def _training(row: Mapping[str, Any]) -> list[str]:
    ending = "_loss"
    losses = [name for name in row if name.endswith(ending) and not name.startswith("validation_")]
    shown = [f"{name[: -len(ending)]} {_short(row[name])}" for name in losses if row[name] is not None]
    return [f"training loss {', '.join(shown)}"] if shown else []


def _pace(row: Mapping[str, Any], seconds_left: float | None, a_plateau_ends: bool) -> list[str]:
    speed = row.get("images_per_second")
    shown = [] if speed is None else [f"{_short(speed)} images/s"]
    unless = " unless a plateau ends it" if a_plateau_ends else ""
    left = [] if seconds_left is None else [f"about {duration(seconds_left)} left{unless}"]
    return shown + left


def _short(value: float) -> str:
    """Three digits, but no power of ten where a number is large."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
