"""Thresholds of the labels of saved scores, chosen on other images: the validation part of the same net.

A threshold that is chosen on the images that are tested makes the figures at it too good. So the scores to choose on
must be of the same weights and of none of the images; without such a file the record says where they were chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.seen import n_trained
from skinmtl.scores.called import Rule, threshold_by
from skinmtl.scores.label_figures import Thresholds, head_of
from skinmtl.scores.pairing import check_names, heads_of
from skinmtl.scores.scores_file import Scores

VALIDATION, TEST = "validation images", "the test images"
SAME = ("short_side", "resizing", "crop", "crops", "mean")  # of a protocol: how the images were shown to the net


def chosen_thresholds(
    path: Path, scores: Scores, rule: Rule, source: Path | None, other: Scores | None, external: bool = False
) -> tuple[dict[str, Thresholds], dict[str, Any]]:
    """The thresholds by head and label, and the record of how they were chosen.

    `other` are the validation images' scores, of the file `source`; None: they are chosen on the scores themselves,
    which the record says. InputError where they are of another net, of one of the same images, or of images trained on.
    `external`: the scores are of another data set, where an equal name makes no two images one.
    """
    record: dict[str, Any] = {"rule": str(rule), "chosen_on": TEST if source is None else VALIDATION}
    chosen_on = scores if other is None else other
    if source is not None and other is not None:
        check_same_net(path, scores, source, other)
        if not external:
            check_no_image_in_both(path, scores, source, other)
        if n_trained(other.protocol):
            n = n_trained(other.protocol)
            raise InputError(f"{source}: {n} of its images were trained on; give validation images")
        record.update(scores_sha256=sha256(source), protocol=other.protocol)
    record["n_images"] = len(chosen_on.image)
    thresholds: dict[str, Thresholds] = {}
    for name in heads_of(scores):
        head = head_of(chosen_on, name)
        columns = zip(head.names, head.labels.T, head.scores.T)
        thresholds[name] = {label: threshold_by(rule, *column) for label, *column in columns}
        record[f"{name}_positives"] = dict(zip(head.names, head.labels.sum(axis=0).tolist()))
    return thresholds, record


def own_images(figures: Mapping[str, Any]) -> list[str]:
    """What of the figures was chosen or fitted on the very images that they are of, a line each."""
    lines = []
    if (figures.get("thresholds") or {}).get("chosen_on") == TEST:
        lines.append(f"the thresholds were chosen on {TEST}: the figures at them are too good")
    if (figures.get("calibration") or {}).get("fitted_on") == TEST:
        lines.append(f"the calibration was fitted on {TEST}: Brier score, ECE and net benefit are too good")
    return lines


def check_same_net(path: Path, scores: Scores, source: Path, other: Scores) -> None:
    """InputError unless `other`, the scores in `source`, are of the same net as `scores`, tested alike."""
    of_both = weights_of(scores.protocol), weights_of(other.protocol)
    for file, known in zip((path, source), of_both):
        if known is None:
            raise InputError(f"{file}: does not say which weights it is of; score the images again with score.py")
    if of_both[0] != of_both[1]:
        raise InputError(f"{source}: is of other weights than {path}; score its images with the same net")
    for name in SAME:
        one, two = scores.protocol.get(name), other.protocol.get(name)
        if one != two:
            raise InputError(f"{source}: its {name} is {two}, that of {path} is {one}; score both alike")
    for head in heads_of(scores):
        if head not in heads_of(other):
            raise InputError(f"{source}: has no {head} head, {path} has one; score both with the same net")
        check_names(str(path), scores, str(source), other, head)


def check_no_image_in_both(path: Path, scores: Scores, source: Path, other: Scores) -> None:
    """InputError where a name of an image is in both."""
    both = set(scores.image) & set(other.image)
    if both:
        first = next(image for image in other.image if image in both)
        raise InputError(
            f"{source}: image {first!r} is in {path} too ({len(both)} such); give scores of images that are not tested"
        )


def weights_of(protocol: dict[str, Any]) -> Any:
    """What tells one net from another: the sha256 of its weights, or of all those of an ensemble with its rule; None
    where that is not recorded."""
    if "ensemble" in protocol:
        sources = protocol.get("sources")
        of_each = [weights_of(source.get("protocol") or {}) for source in sources] if sources else [None]
        return None if None in of_each else (protocol["ensemble"], *sorted(map(str, of_each)))
    found = protocol.get("weights_sha256")
    return found if isinstance(found, str) else None
