"""All that is known of a data set before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skinmtl.data.manifest import Manifest
from skinmtl.description.file_summary import PERCENTILES, Duplicates, FileSummary
from skinmtl.description.labels import LabelCounts, Labels
from skinmtl.description.masks import MaskSummary, masks_json
from skinmtl.description.sheets import LabelSheet


@dataclass(frozen=True)
class Description:
    """A manifest, its counts, pairs of names that may be one (name, other, why), and its files where looked at.

    fold_of  (N,) the fold of each image; None without folds
    sheets   "lesion" and "location" -> the sheet of each label; empty without contact sheets
    masks    what the masks are; None where there are none, or where they were not looked at
    """

    manifest: Manifest
    fold_of: np.ndarray | None
    labels: Labels
    near_names: list[tuple[str, str, str]]
    files: FileSummary | None
    sheets: dict[str, list[LabelSheet]]
    masks: MaskSummary | None = None

    def as_json(self) -> dict[str, Any]:
        """All numbers, ready for json.dumps; what is said of each image is in images.csv."""
        return {
            "labels": _labels(self.labels),
            "near_names": [list(each) for each in self.near_names],
            "files": None if self.files is None else self._files(self.files),
            "masks": None if self.masks is None else masks_json(self.manifest, self.masks),
            "sheets": {
                kind: [
                    {"file": sheet.file, "images": [self.manifest.rows[tile.row].image for tile in sheet.tiles]}
                    for sheet in of_labels
                ]
                for kind, of_labels in self.sheets.items()
            },
        }

    def _files(self, files: FileSummary) -> dict[str, Any]:
        def named(rows: list[int]) -> list[str]:
            return [self.manifest.rows[n].image for n in rows]

        return {
            "looked_at": len(files.facts),
            "usable": len(files.usable),
            "problems": {"kinds": files.kinds, "images": named(files.problems)},
            "percentiles": {"of": list(PERCENTILES), **files.percentiles},
            "shorter_side_below": {str(side): n for side, n in files.below.items()},
            "formats": files.formats,
            "colours": files.colours,
            "bits_a_channel": files.bits,
            "common_sizes": dict(files.common_sizes),
            "different_sizes": files.n_sizes,
            "total_bytes": files.total_bytes,
            "turned_by_exif": files.turned,
            "long": named(files.long),
            "blank": named(files.blank),
            "misnamed": named(files.misnamed),
            "told": {line: named(rows) for line, rows in files.told.items()},
            "duplicates": [_duplicates(one, named(list(one.rows))) for one in files.duplicates],
        }


def _labels(labels: Labels) -> dict[str, Any]:
    return {
        "images": labels.n_images,
        "groups": labels.n_groups,
        "images_a_group": _plain(labels.group_sizes),
        "largest_groups": dict(labels.largest_groups),
        "lesions_an_image": _plain(labels.lesions_per_image),
        "different_sets_of_lesions": labels.label_sets,
        "lesions": _counts(labels.lesions),
        "locations": _counts(labels.locations),
        "lesion_by_lesion": labels.together.tolist(),
        "lesion_by_location": labels.at_location.tolist(),
        "folds": None
        if labels.folds is None
        else {
            "folds": list(labels.folds.numbers),
            "images": labels.folds.images.tolist(),
            "groups": labels.folds.groups.tolist(),
            "groups_in_more_than_one": list(labels.folds.straddling),
        },
    }


def _counts(counts: LabelCounts) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "images": int(counts.images[n]),
            "groups": int(counts.groups[n]),
            "alone": int(counts.alone[n]),
            **({} if counts.folds is None else {"images_in_folds": counts.folds[n].tolist()}),
        }
        for n, name in enumerate(counts.names)
    ]


def _plain(distribution: dict[int, int]) -> dict[str, int]:
    return {str(value): n for value, n in distribution.items()}


def _duplicates(one: Duplicates, images: list[str]) -> dict[str, Any]:
    return {"images": images, "same_labels": one.same_labels, "same_group": one.same_group, "folds": one.folds}
