"""Which lesion of an external data set is which of the net: a CSV `data,model`, a lesion of the data a line.

Several lesions of the data may be one of the net's: an image that has any of them has that one. One of the data is at
most one of the net's: of an image that has it nobody could say which of two it should be. What has no line is nothing
that both know. It is left out of the figures, on either side, and so are images all of whose lesions are left out: they
are positives of no lesion, and whether they are negatives of one is what nobody has said.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.names import spelled
from skinmtl.data.table import read_csv
from skinmtl.scores.external_file import ExternalScores
from skinmtl.scores.scores_file import Scores

COLUMNS = ("data", "model")
LISTED = 12  # names of a set, in a message


def read_label_map(path: Path, data_names: Sequence[str], model_names: Sequence[str]) -> dict[str, str]:
    """The data's lesions, in the map's order, and which of the net's each is. InputError names the line at fault."""
    pairs: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for line, record in read_csv(path, COLUMNS):
        where = f"{path}:{line}"
        data, model = (spelled(record[column]) for column in COLUMNS)
        for column, name in zip(COLUMNS, (data, model)):
            if not name:
                raise InputError(f"{where}: {column!r} is empty; name a lesion, or leave out the line of one without")
        _require_known(where, "the data have", data, data_names)
        _require_known(where, "the net has", model, model_names)
        if data in pairs:
            also = "" if pairs[data] == model else f", as {pairs[data]!r}"
            raise InputError(
                f"{where}: {data!r} is on line {line_of[data]} too{also}; it can be one of the net's lesions"
            )
        pairs[data], line_of[data] = model, line
    if not pairs:
        raise InputError(f"{path}: no lesions; add a line for each that the data and the net both know")
    if len(set(pairs.values())) == 1:
        raise InputError(
            f"{path}: all lines lead to {model!r}: every image that is left would have it, and there would be "
            "nothing to tell it from; map a second lesion"
        )
    return pairs


@dataclass(frozen=True, eq=False)
class Kept:
    """Scores of the common lesions alone: `rows` of the images that are left, (n,) int64; how many were left out, and
    how many of those that are left have another lesion too, which is not looked at."""

    scores: Scores
    rows: np.ndarray
    left_out: int
    with_others: int


def translated(external: ExternalScores, pairs: Mapping[str, str]) -> Scores:
    """All lesion scores, with labels under the net's names: those of the pairs; no image has another of them."""
    names = external.names["lesion"]
    labels = np.zeros((len(external.image), len(names)), np.uint8)
    for number, data in enumerate(external.data_names["lesion"]):
        if data in pairs:
            labels[:, names.index(pairs[data])] |= external.data_labels["lesion"][:, number]
    return Scores(
        external.image,
        external.protocol,
        lesion_scores=external.scores["lesion"],
        lesion_labels=labels,
        lesion_names=list(names),
    )


def kept(scores: Scores, lesions: Sequence[str], other: np.ndarray) -> Kept:
    """The scores of these lesions, in the net's order, and of the images that have one of them or no lesion at all.

    other  (N,) bool: whether an image has a lesion that is none of these, by any name
    """
    names = [name for name in scores.lesion_names if name in set(lesions)]
    columns = [scores.lesion_names.index(name) for name in names]
    labels = scores.lesion_labels[:, columns]
    common = labels.any(axis=1)
    rows = np.flatnonzero(common | ~other)
    alone = Scores(
        [scores.image[row] for row in rows],
        scores.protocol,
        lesion_scores=scores.lesion_scores[np.ix_(rows, columns)],
        lesion_labels=labels[rows],
        lesion_names=names,
    )
    return Kept(alone, rows, len(scores.image) - len(rows), int((common & other).sum()))


def others_of_data(external: ExternalScores, pairs: Mapping[str, str], lesions: Sequence[str]) -> np.ndarray:
    """(N,) bool: whether an image has a lesion of the data that is none of these of the net's."""
    of_others = [pairs.get(name) not in lesions for name in external.data_names["lesion"]]
    return external.data_labels["lesion"][:, of_others].any(axis=1)


def others_of_net(scores: Scores, lesions: Sequence[str]) -> np.ndarray:
    """The same of labels under the net's names."""
    return scores.lesion_labels[:, [name not in lesions for name in scores.lesion_names]].any(axis=1)


def label_record(external: ExternalScores, pairs: Mapping[str, str], lesions: Sequence[str]) -> dict[str, Any]:
    """What became of each lesion, ready for JSON: of the data with its images and what it is taken for (None: for
    nothing), and the net's that are left out."""
    counts = external.data_labels["lesion"].sum(axis=0, dtype=np.int64).tolist()
    taken = {name: pairs[name] if pairs.get(name) in lesions else None for name in external.data_names["lesion"]}
    return {
        "data_lesions": [{"name": name, "images": n, "as": taken[name]} for name, n in zip(taken, counts)],
        "model_lesions_left_out": [name for name in external.names["lesion"] if name not in lesions],
    }


def _require_known(where: str, who: str, name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in known], 3, 0.5)
    meant = [each for each in known if each.lower() in near]
    told = f"did you mean {' or '.join(map(repr, meant))}?" if meant else f"{who} {_listed(known)}"
    raise InputError(f"{where}: {who} no lesion {name!r}; {told}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}"
