"""Which column of a table says whom an image belongs to, so that a misspelt one is not overlooked."""

from __future__ import annotations

import difflib
import re
import shlex
from pathlib import Path
from typing import Callable, Sequence

from caffe_files.errors import InputError

GROUP = "group"
LABELS = ("lesions", "location")
NO_GROUPS = "image"  # as the column: each image is a group of its own
# what such a column is called in public data sets and in clinics, in letters and digits alone
USUAL = frozenset(
    [
        *("group", "groups", "groupid", "grp", "patient", "patients", "patientid", "patientno", "patientnumber"),
        *("patientnr", "patientcode", "patid", "pat", "pid", "subject", "subjects", "subjectid", "subjectno", "subj"),
        *("participant", "participantid", "person", "personid", "individual", "individualid", "volunteerid"),
        *("case", "caseid", "caseno", "casenum", "casenumber", "lesionid", "mrn", "medicalrecordnumber"),
    ]
)
NEAR = 0.8  # difflib's ratio to "group", our choice: "gruop" and "groupe" are near, "ground" is not


class GroupColumn:
    """The column with the groups: the one that the user names, else `group`."""

    def __init__(self, asked: str | None = None) -> None:
        self.asked = asked
        self.name = asked or GROUP

    def checker(self, path: Path) -> Callable[[Sequence[str]], None]:
        """Raises InputError, given the header of the table `path`, where the column is not there but asked for, and
        where another one is there that looks as if it were meant.
        """

        def check(header: Sequence[str]) -> None:
            if self.name in header:
                return
            columns = [name for name in header if name]
            if self.asked is not None:
                near = difflib.get_close_matches(self.asked, [name for name in columns if name not in LABELS], 1)
                hint = f"{near[0]!r} is near" if near else f"it has {', '.join(columns)}"
                raise InputError(f"{path}:1: no column {self.asked!r} with the groups; {hint}")
            meant = group_like(header)
            if meant:
                raise InputError(
                    f"{path}:1: no column {GROUP!r}, but {meant[0]!r}, which may hold the groups; give "
                    f"--group-column {shlex.quote(meant[0])}, or --group-column {NO_GROUPS} if every image is of "
                    "another patient"
                )

        return check


def group_like(header: Sequence[str]) -> list[str]:
    """The columns that look as if they had the groups, in the order of the header."""
    return [name for name in header if _looks_like_one(re.sub(r"[\W_]", "", name).lower())]


def _looks_like_one(name: str) -> bool:
    return name in USUAL or difflib.SequenceMatcher(None, name, GROUP).ratio() >= NEAR
