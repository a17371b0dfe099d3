"""What a net's folder is to keep of the data sets that the net is made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skinmtl.data.dataset import read_summary
from skinmtl.nets.label_names import LabelNames, names_of


@dataclass(frozen=True)
class Known:
    """What the data sets of a net say, as far as they are there: see NetRecord."""

    short_side: int | None
    scales: list[int] | None
    names: LabelNames | None
    long_side: int | None = None


NOTHING_KNOWN = Known(None, None, None)


def known_of(train_data: Path, test_data: Path) -> Known:
    """InputError where two data sets that are both there have not the same label names."""
    train, test = (read_summary(data) if data.exists() else None for data in (train_data, test_data))
    sides = test["short_side"] if test else [0, 1]
    return Known(
        short_side=sides[0] if sides[0] == sides[1] else None,
        scales=train["short_side"] if train else None,
        long_side=train.get("long_side") if train else None,
        names=names_of(train_data, test_data) if train and test else None,
    )
