"""Several models as one: for each image and class the best score of all, or their mean.

The paper's ensemble is the element-wise maximum ("the better score of ResNet and MTL"). Sigmoid scores of lesions are
on one scale, that of a probability. The location's softmax scores are combined by the same rule; their maxima no longer
add up to 1, which no figure needs. Boxes and masks have no element-wise maximum: what a net draws is not combined.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.seen import marks
from skinmtl.scores.pairing import Named, aligned, heads_of, unlike_resizing
from skinmtl.scores.scores_file import HEADS, Scores, read_scores, write_scores

REGIONS_ALONE = "boxes and masks alone, which are not combined"
RULES = {"maximum": np.max, "mean": np.mean}


def combine(named: Named, rule: str) -> Scores:
    """One score for each image and class, by `rule` ("maximum" or "mean"), rows in the first one's order.

    named  (file, scores) of each model. The heads that all of them have are combined; the others are left out.

    `protocol` has the rule, the files and their protocols. InputError where no head is in all, and where images, labels
    or names differ.
    """
    heads = common_heads(named)
    if not heads:
        there = ", ".join(f"{file} has {' and '.join(heads_of(scores)) or REGIONS_ALONE}" for file, scores in named)
        raise InputError(f"no head is in all files ({there}); combine models that have a head in common")
    parts = aligned(named, heads)
    fields: dict[str, Any] = {}
    for head in heads:
        stack = np.stack([getattr(part, f"{head}_scores") for part in parts]).astype(np.float64)
        fields[f"{head}_scores"] = RULES[rule](stack, axis=0).astype(np.float32)
        fields[f"{head}_labels"] = getattr(parts[0], f"{head}_labels")
        fields[f"{head}_names"] = getattr(parts[0], f"{head}_names")
    sources = [{"file": file, "protocol": scores.protocol} for file, scores in named]
    return Scores(parts[0].image, {"ensemble": rule, "sources": sources}, **fields)


def combine_files(paths: Sequence[Path], rule: str, out: Path, arguments: dict[str, Any]) -> str:
    """Writes the ensemble of scores files to `out`; returns what to tell: images, rule, heads, and what is left out."""
    named = [(str(path), read_scores(path)) for path in paths]
    scores = combine(named, rule)
    for path, source in zip(paths, scores.protocol["sources"]):
        source["sha256"] = sha256(path)
    scores.protocol.update(made_by(arguments))
    write_scores(out, scores)
    heads = " and ".join(heads_of(scores))
    told = [f"{out}: {len(scores.image)} images, {rule} of {len(paths)} files, {heads}"]
    for head in HEADS:
        without = [file for file, one in named if head not in heads_of(one)]
        if without and len(without) < len(named):
            told.append(f"{head} left out: not in {', '.join(without)}")
    drawn = [file for file, one in named if one.has_regions]
    if drawn:
        told.append(f"boxes, classes and masks left out, which are not combined: in {', '.join(drawn)}")
    unlike = unlike_resizing([(file, one.protocol) for file, one in named])
    told += [f"note: {line}" for line in (*([unlike] if unlike else []), *marks(scores.protocol))]
    return "\n".join(told)


def common_heads(named: Named) -> list[str]:
    """The heads that every one of the scores has."""
    return [head for head in HEADS if all(head in heads_of(scores) for _, scores in named)]
