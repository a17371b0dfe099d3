"""Predictions in words, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from skinmtl.explanation.novelty import Likeness
from skinmtl.publishing.predicting import Prediction

LIKELIEST = 3  # locations that are told: the paper's figure 4


def as_text(prediction: Prediction, labels: dict[str, list[str]], threshold: float) -> str:
    """The image's name, and below it the lesions from `threshold` on and the likeliest locations, a line each.

    Where no lesion reaches the threshold, a line says so and which is the likeliest. An image that is not named has
    neither; how unlike the training images it is stands last, where that is known.
    """
    lines = [prediction.item.name]
    if prediction.named:
        lines += head_lines(prediction.probabilities, labels, threshold, prediction.overlays)
    if prediction.likeness is not None:
        lines.append(f"  novelty   {novelty_words(prediction.likeness, prediction.named)}")
    return "\n".join(lines)


def novelty_words(likeness: Likeness, named: bool) -> str:
    """How unlike the training images it is, and what follows."""
    if likeness.unlike:
        what = "unlike the images that the model was trained on"
        follows = "" if named else ", so nothing is named"
        return f"{likeness.distance:.3f}, beyond {likeness.threshold:.3f}: {what}{follows}"
    share = f"{100 * likeness.above_training:.0f} % of these are from each other"
    return f"{likeness.distance:.3f}, within {likeness.threshold:.3f}; further from the training images than {share}"


def head_lines(
    probabilities: dict[str, np.ndarray], labels: dict[str, list[str]], threshold: float, overlays: dict[str, Path]
) -> list[str]:
    """The lines of the heads."""
    lines = []
    for head, values in probabilities.items():
        told = _told(head, values, labels[head], threshold)
        rows = [f"{value:.3f}  {name}" for name, value in told]
        if not told:
            best = int(values.argmax())
            rows = [f"none from {threshold:g} on; the likeliest: {values[best]:.3f}  {labels[head][best]}"]
        lines += [f"  {head if number == 0 else '':10}{row}" for number, row in enumerate(rows)]
        if head in overlays:
            lines.append(f"  {'':10}attention: {overlays[head]}")
    return lines


def as_json(prediction: Prediction, labels: dict[str, list[str]], threshold: float, made: dict[str, Any]) -> str:
    """One line of JSON Lines, in ASCII: it is JSON in every locale, and one line to those who end one at U+2028 too.

    `image`; `lesions` from the threshold on and the three likeliest `locations`, each a `label` and a `probability`,
    the likeliest first; `probabilities` of all labels by head; `attention` with the overlays' paths; `told`, if there
    is something that a person should know of the image; `model` says what made it. An image that cannot be used has
    `image`, `error` and `model` alone. `novelty`, where the model can tell it, says how far the image is from the
    training images; where it is `unlike` them and not `named`, `lesions` and `locations` are empty.
    """
    record: dict[str, Any] = {"image": prediction.item.name}
    if prediction.problem:
        return json.dumps({**record, "error": prediction.problem, "model": made})
    record.update(head_record(prediction.probabilities, labels, threshold))
    if not prediction.named:
        record.update({f"{head}s": [] for head in prediction.probabilities})
    if prediction.likeness is not None:
        record["novelty"] = novelty_record(prediction.likeness, prediction.named)
    if prediction.told:
        record["told"] = list(prediction.told)
    if prediction.overlays:
        record["attention"] = {head: str(path) for head, path in prediction.overlays.items()}
    return json.dumps({**record, "model": made})


def novelty_record(likeness: Likeness, named: bool) -> dict[str, Any]:
    """The distance and the threshold, the percentiles among training and validation images, and what follows."""
    return {
        "unlike": likeness.unlike,
        "named": named,
        "distance": short(likeness.distance),
        "threshold": short(likeness.threshold),
        "percentile_of_training": short(100 * likeness.above_training),
        "percentile_of_validation": short(100 * likeness.above_validation),
        "spread_over_crops": None if likeness.spread is None else short(likeness.spread),
    }


def head_record(probabilities: dict[str, np.ndarray], labels: dict[str, list[str]], threshold: float) -> dict[str, Any]:
    """What the heads say; nothing where there are none."""
    record: dict[str, Any] = {}
    for head, values in probabilities.items():
        told = _told(head, values, labels[head], threshold)
        record[f"{head}s"] = [{"label": name, "probability": short(value)} for name, value in told]
    if probabilities:
        record["probabilities"] = {
            head: {name: short(value) for name, value in zip(labels[head], values)}
            for head, values in probabilities.items()
        }
    return record


def tell(text: str, file: TextIO | None = None) -> None:
    """Prints it above the progress bar, where there is one; on standard output, or to `file`."""
    tqdm.write(text, file=file)


def _told(head: str, values: np.ndarray, names: list[str], threshold: float) -> list[tuple[str, float]]:
    """The labels to tell, the likeliest first; equal ones in the order of their indices."""
    order = np.argsort(-values, kind="stable")
    told = [(names[each], float(values[each])) for each in order]  # a float32 would round the threshold too
    return told[:LIKELIEST] if head == "location" else [one for one in told if one[1] >= threshold]


def short(value: float) -> float:
    """All that a float32 holds, and no more."""
    return float(f"{value:.8g}")
