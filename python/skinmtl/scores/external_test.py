"""A net of one data set tested on another: its figures on the lesions that both know, beside those on its own images.

The net, its calibration and its thresholds are taken as they are: nothing is chosen on the external images. Locations
are left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.seen import marks
from skinmtl.scores.chosen_thresholds import check_same_net
from skinmtl.scores.common_labels import (
    Kept,
    kept,
    label_record,
    others_of_data,
    others_of_net,
    read_label_map,
    translated,
)
from skinmtl.scores.evaluating import Plan, Prepared, figures_of, prepared
from skinmtl.scores.external_file import read_external
from skinmtl.scores.gaps import Side, gaps
from skinmtl.scores.scores_file import Scores, read_scores


class Part(NamedTuple):
    """The test images of one of the two sets: their file, all of its scores of lesions, and what is left of them."""

    path: Path
    scores: Scores
    kept: Kept


class ExternalTest(NamedTuple):
    """An external test: the external images, those of the net's own set, if there are any, and what became of the
    lesions, ready for JSON."""

    external: Part
    internal: Part | None
    record: dict[str, Any]


def external_test(path: Path, label_map: Path | None, internal: Path | None) -> ExternalTest:
    """The common lesions of the scores in `path`, and in `internal`: those that the map names, or without one all, of
    which each of the files has an image.

    InputError where a file or the map is at fault, where fewer than two lesions are left, where the two files are not
    of the same net or share a photograph.
    """
    external = read_external(path)
    names = external.names["lesion"]
    if label_map is None:
        pairs = {name: name for name in names}
        if not set(names) & set(external.data_names["lesion"]):
            raise InputError(
                f"{path}: none of the data's lesions has a name of the net's ({', '.join(names[:3])} ...); say with "
                "--label-map which is which"
            )
    else:
        pairs = read_label_map(label_map, external.data_names["lesion"], names)
    scores = translated(external, pairs)
    own = None if internal is None else _lesions_alone(internal, read_scores(internal))
    if own is not None:
        check_same_net(path, scores, internal, own)
        _check_apart(path, scores, internal, own)
    mapped = [name for name in names if name in pairs.values()]
    without = {str(path): _without_image(scores, mapped)}
    if own is not None:
        without[str(internal)] = _without_image(own, mapped)
    lesions = [name for name in mapped if not any(name in of_file for of_file in without.values())]
    if len(lesions) < 2:
        which = "; ".join(
            f"{file} has no image of {', '.join(of_file)}" for file, of_file in without.items() if of_file
        )
        left = f"one lesion, {lesions[0]!r}, is" if lesions else "no lesion is"
        raise InputError(f"{path}: {left} left to measure: {which}; two or more are wanted, to be told apart")
    record = {
        "label_map": None if label_map is None else _map_record(label_map, pairs),
        "lesions": lesions,
        **label_record(external, pairs, lesions),
        "without_image": {name: [file for file in without if name in without[file]] for name in mapped},
        "locations": "left out",
    }
    record["without_image"] = {name: files for name, files in record["without_image"].items() if files}
    part = Part(path, scores, kept(scores, lesions, others_of_data(external, pairs, lesions)))
    if own is None:
        return ExternalTest(part, None, record)
    return ExternalTest(part, Part(internal, own, kept(own, lesions, others_of_net(own, lesions))), record)


def tested(test: ExternalTest, plan: Plan, own_plan: Plan) -> dict[str, Any]:
    """The figures of the external images, as `evaluating.evaluated` has them, and `external_test`: the record, how many
    images were left out, and of the net's own images `internal`, the same figures, with `gaps`.

    The groups and subgroups of the plans are those of the images that are kept.
    """
    made = _prepared(test.external, plan, external=True)
    figures = figures_of(made, None, plan)
    record = {**test.record, **_counts(test.external.kept)}
    if test.internal is not None:
        path, scores, left = test.internal
        own = _prepared(test.internal, own_plan, external=False)
        of_own = figures_of(own, None, own_plan)
        record["internal"] = {
            **of_own,
            **_counts(left),
            "file": str(path),
            "seen": marks(scores.protocol),
            "scores_sha256": sha256(path),
            "protocol": scores.protocol,
        }
        sides = Side(made.scores, figures, plan.resampling), Side(own.scores, of_own, own_plan.resampling)
        record.update(gaps(*sides, made.thresholds.get("lesion")))
    return {**figures, "external_test": record}


def _prepared(part: Part, plan: Plan, external: bool) -> Prepared:
    """Of all scores, so that a calibration fits and thresholds are those of the whole validation part; then of what is
    left."""
    made = prepared(part.path, part.scores, plan, external)
    lesions, rows = part.kept.scores.lesion_names, part.kept.rows
    columns = [part.scores.lesion_names.index(name) for name in lesions]
    alone, before = (
        replace(part.kept.scores, lesion_scores=each.lesion_scores[np.ix_(rows, columns)])
        for each in (made.scores, made.before)
    )
    thresholds = {head: {name: of_head[name] for name in lesions} for head, of_head in made.thresholds.items()}
    chosen = made.chosen
    if chosen is not None:
        positives = chosen["lesion_positives"]
        chosen = {**chosen, "lesion_positives": {name: positives[name] for name in lesions}}
    return replace(made, scores=alone, before=before, thresholds=thresholds, chosen=chosen)


def _counts(left: Kept) -> dict[str, int]:
    return {"n_images_left_out": left.left_out, "n_images_with_others": left.with_others}


def _lesions_alone(path: Path, scores: Scores) -> Scores:
    if scores.lesion_scores is None:
        raise InputError(f"{path}: has no lesion head, which an external test is of; name scores of another net")
    parts = {name: getattr(scores, name) for name in ("lesion_scores", "lesion_labels", "lesion_names")}
    return Scores(scores.image, scores.protocol, **parts)


def _without_image(scores: Scores, lesions: Sequence[str]) -> list[str]:
    there = scores.lesion_labels.any(axis=0)
    return [name for name in lesions if not there[scores.lesion_names.index(name)]]


def _map_record(path: Path, pairs: dict[str, str]) -> dict[str, Any]:
    lines = [{"data": data, "model": model} for data, model in pairs.items()]
    return {"file": str(path), "sha256": sha256(path), "lines": lines}


def _check_apart(path: Path, scores: Scores, internal: Path, own: Scores) -> None:
    """InputError where images of the two files have the very same scores, which two photographs never have. Scores that
    several images of one file have, as of a net that sees nothing, tell no image."""
    of_both = []
    for each in (scores, own):
        rows: dict[bytes, list[str]] = {}
        for image, row in zip(each.image, each.lesion_scores):
            rows.setdefault(row.tobytes(), []).append(image)
        of_both.append({row: images[0] for row, images in rows.items() if len(images) == 1})
    same = [row for row in of_both[0] if row in of_both[1]]
    if same:
        image, other = (of_file[same[0]] for of_file in of_both)
        raise InputError(
            f"{path}: image {image!r} has the very scores of {other!r} in {internal} ({len(same)} such): the same "
            "photographs; leave them out with leakage.py --against"
        )
