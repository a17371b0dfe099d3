"""What is watched while training: losses and metrics over the whole validation set, in one pass, without chance."""

from __future__ import annotations

from typing import Any, Callable, Iterable

import numpy as np

from caffe_files.errors import InputError
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.one_lesion import one_lesion_figures
from skinmtl.scores.scores_file import Scores

# what can be watched -> the heads that it needs; "error" is there where there is any, "loss" for every net
WATCHED = {
    "error": (),
    "loss": (),
    "lesion_loss": ("lesion",),
    "location_loss": ("location",),
    "map_class": ("lesion",),
    "map_image": ("lesion",),
    "location_top1": ("location",),
    "balanced_accuracy": ("lesion",),
}
METRICS = {"lesion": ("map_class", "map_image"), "location": ("location_top1",)}
OF_ONE_LESION = ("balanced_accuracy",)  # where the lesions are one choice, by a softmax


def metrics_of(heads: Iterable[str], one_lesion: bool) -> list[str]:
    """What is measured of a net with these heads, whose lesions are one choice or each by itself."""
    measured = [name for head in heads for name in METRICS[head]]
    return [*measured, *OF_ONE_LESION] if one_lesion else measured


def validate(
    batches: Iterable[dict[str, np.ndarray]],
    names: dict[str, list[str]],
    stop: Callable[[], bool],
    one_lesion: bool = False,
) -> dict[str, float] | None:
    """The losses (`validation_NAME_loss`) and metrics of a model with the heads in `names`; None where `stop` says so.
    With `one_lesion`, where the lesions are one choice, there is balanced accuracy too.

    batches  a dict each: fc_HEAD (N, outputs), HEAD_label (N, P or 1), NAME_loss (), DEAD_PROPOSALS (N,); all of one
             size. A loss is the mean of the batches': of a mask net's, whose regions differ in number, that is not
             quite the images' mean. In how many images the proposals are dead is given as a share.

    Ranked are the outputs before sigmoid or softmax: the order is the same, without the ties of rounded
    probabilities.
    """
    gathered: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        if stop():
            return None
        for name, values in batch.items():
            gathered.setdefault(name, []).append(values)
    values: dict[str, float] = {}
    fields: dict[str, Any] = {}
    for name, of_batches in gathered.items():
        if np.ndim(of_batches[0]) == 0:
            values[f"validation_{name}"] = float(np.mean(of_batches, dtype=np.float64))
    if DEAD_PROPOSALS in gathered:
        values[DEAD_PROPOSALS] = float(np.mean(np.concatenate(gathered[DEAD_PROPOSALS])))
    for head, head_names in names.items():
        labels = np.concatenate(gathered[f"{head}_label"])
        fields[f"{head}_scores"] = np.concatenate(gathered[f"fc_{head}"])
        fields[f"{head}_labels"] = labels.astype(np.uint8) if head == "lesion" else labels[:, 0].astype(np.int64)
        fields[f"{head}_names"] = head_names
    if not names or not all(np.isfinite(fields[f"{head}_scores"]).all() for head in names):
        return values
    n_images = sum(len(labels) for labels in gathered[f"{next(iter(names))}_label"])
    figures = evaluate(Scores(image=[str(number) for number in range(n_images)], protocol={}, **fields))
    if one_lesion:
        figures.update(one_lesion_figures(fields["lesion_labels"], fields["lesion_scores"], names["lesion"]))
    values.update({name: figures[name] for name in metrics_of(names, one_lesion)})
    return values


def watched_error(values: dict[str, float], watch: str, weights: dict[str, float] | None = None) -> float:
    """The error that a plateau is sought in, the lower the better.

    "error", the default, is the mean over the model's heads of 1 - mAP-image and 1 - location top-1: near to what is
    reported, in [0, 1], and never without a value. "loss" is the sum of the validation losses, each times its weight
    (1 where `weights`, by name, has none); a loss by its head's name is that one; a metric counts as 1 - metric.
    """
    losses = {name[len("validation_") :]: value for name, value in values.items() if name.endswith("_loss")}
    if watch == "loss":
        return sum((weights or {}).get(name[: -len("_loss")], 1.0) * value for name, value in losses.items())
    if watch in losses:
        return losses[watch]
    metrics = [name for name in ("map_image", "location_top1") if name in values] if watch == "error" else [watch]
    if any(values[name] is None for name in metrics):
        raise InputError(f"the validation set has no value for {watch}; choose what to watch with --watch")
    return sum(1 - values[name] for name in metrics) / len(metrics)


def check_watch(watch: str, heads: Iterable[str], one_lesion: bool = False) -> None:
    """InputError where a model with these heads, its lesions one choice or not, has nothing of that name to watch."""
    heads = list(heads)
    if watch == "error" and not heads:
        raise InputError("--watch error: the net has neither lesions' nor locations' scores; watch loss")
    for head in WATCHED[watch]:
        if head not in heads:
            raise InputError(
                f"--watch {watch}: the net has no {head} head; watch {'error or loss' if heads else 'loss'}"
            )
    if watch in OF_ONE_LESION and not one_lesion:
        raise InputError(
            f"--watch {watch}: the net's lesions are no choice of one; make it with --lesion-loss softmax, or watch "
            "map_class"
        )
