"""Scores of a snapshot on images: the ten-crop test, one forward pass an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import made_by
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import KEY, UNKNOWN
from skinmtl.engines.snapshot import MAKE_ANOTHER, Snapshot, checked_snapshot
from skinmtl.nets.label_names import LabelNames, check_manifest
from skinmtl.scores.external_file import ExternalScores, write_external
from skinmtl.scores.forward import Protocol, kept_outputs, record
from skinmtl.scores.scores_file import Scores, write_scores

HEADS = ("lesion_prob", "location_prob")


def score(
    deploy: Path,
    weights: Path,
    manifest: Manifest,
    image_folder: Path,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> Scores:
    """Writes to `out`, and returns, probabilities averaged over ten crops, for the heads that the net has.

    lesion_scores (N, P) from `lesion_prob`, location_scores (N, Q) from `location_prob`, rows in the manifest's order.
    `trained_on` is what `data.seen.seen` says of the images. What a stopped run has made for the file `out` is kept
    beside it, and used where everything is still the same.
    """
    check_manifest(manifest, deploy)
    snapshot = checked_snapshot(deploy, weights, protocol.engine)
    heads = check_heads(snapshot, manifest, _heads(snapshot))
    made_how = record(snapshot, protocol)
    with kept_outputs(snapshot, heads, manifest, image_folder, protocol, made_how, out, "scoring") as outputs:
        scores = Scores(
            image=[row.image for row in manifest.rows],
            protocol={**made_how, KEY: trained_on, **made_by(arguments)},
            **head_fields(manifest, dict(zip(heads, outputs))),
        )
        write_scores(out, scores)
    return scores


def score_external(
    deploy: Path,
    weights: Path,
    names: LabelNames,
    manifest: Manifest,
    image_folder: Path,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> ExternalScores:
    """The same of another data set: with the net's `names` for its outputs, and the manifest's for its labels.

    InputError where the net has no lesion head, or not as many outputs as names.
    """
    snapshot = checked_snapshot(deploy, weights, protocol.engine)
    heads = _heads(snapshot)
    if "lesion_prob" not in heads:
        raise InputError(f"{deploy}: has no lesion_prob, which an external test is of; leave --external out")
    for head in heads:
        n, listed = snapshot.shapes.tops[head][1], names[f"{head[: -len('_prob')]}_names"]
        if n != len(listed):
            raise InputError(f"{deploy}: {head} has {n} outputs, and {len(listed)} names are known of it")
    made_how = record(snapshot, protocol)
    kinds = [head[: -len("_prob")] for head in heads]
    labels, of_data = {"lesion": manifest.lesion_labels()}, {"lesion": list(manifest.lesion_names)}
    if manifest.location_names:
        labels["location"], of_data["location"] = manifest.location_labels(), list(manifest.location_names)
    with kept_outputs(snapshot, heads, manifest, image_folder, protocol, made_how, out, "scoring") as outputs:
        scores = ExternalScores(
            image=[row.image for row in manifest.rows],
            protocol={**made_how, KEY: trained_on, **made_by(arguments)},
            scores=dict(zip(kinds, outputs)),
            names={kind: names[f"{kind}_names"] for kind in kinds},
            data_labels=labels,
            data_names=of_data,
        )
        write_external(out, scores)
    return scores


def head_fields(manifest: Manifest, scores: dict[str, np.ndarray]) -> dict[str, Any]:
    """The fields of Scores for the outputs (N, labels) of the heads that are there, by the outputs' names."""
    fields: dict[str, Any] = {}
    if "lesion_prob" in scores:
        fields.update(lesion_scores=scores["lesion_prob"], lesion_labels=manifest.lesion_labels())
        fields.update(lesion_names=list(manifest.lesion_names))
    if "location_prob" in scores:
        fields.update(location_scores=scores["location_prob"], location_labels=manifest.location_labels())
        fields.update(location_names=list(manifest.location_names))
    return fields


def check_heads(snapshot: Snapshot, manifest: Manifest, heads: Sequence[str]) -> list[str]:
    """The heads, each with as many outputs as the manifest names labels; InputError names the first that has not."""
    tops = snapshot.shapes.tops
    counts = {"lesion_prob": len(manifest.lesion_names), "location_prob": len(manifest.location_names)}
    for head in heads:
        if tops[head][1] != counts[head]:
            raise InputError(
                f"{snapshot.deploy}: {head} has {tops[head][1]} outputs, {manifest.path} names {counts[head]} labels; "
                "of another data set: score.py --external"
            )
    return list(heads)


def _heads(snapshot: Snapshot) -> list[str]:
    """The heads that the net has."""
    heads = [head for head in HEADS if head in snapshot.shapes.tops]
    if not heads:
        raise InputError(f"{snapshot.deploy}: has neither lesion_prob nor location_prob; {MAKE_ANOTHER}")
    return heads
