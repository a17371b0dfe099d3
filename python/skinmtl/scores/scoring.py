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
from skinmtl.nets.label_names import check_manifest
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
    heads = _heads(snapshot, manifest)
    made_how = record(snapshot, protocol)
    with kept_outputs(snapshot, heads, manifest, image_folder, protocol, made_how, out, "scoring") as outputs:
        scores = Scores(
            image=[row.image for row in manifest.rows],
            protocol={**made_how, KEY: trained_on, **made_by(arguments)},
            **head_fields(manifest, dict(zip(heads, outputs))),
        )
        write_scores(out, scores)
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
                f"{snapshot.deploy}: {head} has {tops[head][1]} outputs, {manifest.path} names {counts[head]} labels"
            )
    return list(heads)


def _heads(snapshot: Snapshot, manifest: Manifest) -> list[str]:
    """The heads that the net has."""
    heads = [head for head in HEADS if head in snapshot.shapes.tops]
    if not heads:
        raise InputError(f"{snapshot.deploy}: has neither lesion_prob nor location_prob; {MAKE_ANOTHER}")
    return check_heads(snapshot, manifest, heads)
