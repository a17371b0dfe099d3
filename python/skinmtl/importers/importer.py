"""The interface: what an importer says about its data set, and the plain rows that it reads from it.

A new importer is one file in `datasets` with `IMPORTER = Importer(...)`. Its `read` takes a Source and yields one Found
for each image row of the data set's own tables, whatever is wrong with the row: `importing` alone decides what is kept,
so that the rules are the same for all data sets and nothing is lost on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping

if TYPE_CHECKING:
    from skinmtl.importers.source import Source


@dataclass(frozen=True)
class Found:
    """One image row as the data set's own tables state it.

    file, line    where the row stands; line 0: a file that no table names
    image         the image's id or path as the table has it, with or without an ending; "": the row names none
    lesions       the labels, already taken apart (none: ()); `importing` cleans and checks them
    sites         the body sites, already taken apart: (), one or several, and "unknown" as the data set writes it
    group         what must not straddle folds, see `Source.group_of`: patient, else lesion or case; "": the image
    lesion_id     the lesion where the data set names it, to find one lesion with several sites; "": not named
    mask          the mask's file as the data set names it, with or without an ending; "": none is named
    split         the data set's own part that the image is of: train, validation or test; "": none
    others        further columns for the manifest, those of `Importer.subgroups` among them
    problem       why the importer cannot make sense of the row ("unreadable label"): dropped and counted under it
    detail        what was read instead, for the list of dropped rows
    """

    file: Path
    line: int
    image: str
    lesions: tuple[str, ...]
    sites: tuple[str, ...]
    group: str = ""
    lesion_id: str = ""
    mask: str = ""
    split: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Option:
    """A flag of one importer. `Source.options` has its value under the flag's name with `_` for `-`.

    kind          makes the value from text; ValueError where it cannot
    many          may be given again and again; the value is a tuple
    switch        takes no value: True where it is given; of an importer's switches one at most may be
    """

    flag: str
    help: str
    kind: Callable[[str], Any] = str
    default: Any = None
    many: bool = False
    required: bool = False
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    switch: bool = False

    @property
    def name(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def unset(self) -> Any:
        """The value where the flag is not given."""
        if self.switch:
            return False
        return () if self.many and self.default is None else self.default


@dataclass(frozen=True)
class Importer:
    """A data set that can be imported.

    name            as given on the command line
    title           the data set's own name
    home_page       where a user gets it and finds its terms
    licence         as its owner states it, or "see the home page"
    lesion_labels   "single" or "multi": how many an image can have
    group           what the group key is, in words
    read            yields one Found for each image row; InputError where a table cannot be used
    ending          of the image files, for ids without one where the images are not there yet (an option `--ending`
                    of the importer's own takes precedence)
    overlap         other data sets that have the same images: no folds can keep those apart
    has_sites       whether the data set tells body sites; where it does not, the manifest has no locations
    masks           which files are the masks, in words; "": the data set has none
    subgroups       columns of `others` that tell patients or photographs apart, each with what it says: skin type,
                    sex, age, device, centre; they keep the data set's own names
    no_images       patterns of image files that are neither images nor masks, such as superpixels
    unknown_sites   values that say that the site is not known, in lower case, besides `data.nothing`'s
    options         flags of this importer only
    notes           rules of this importer, for its report
    """

    name: str
    title: str
    home_page: str
    licence: str
    lesion_labels: str
    group: str
    read: Callable[[Source], Iterable[Found]]
    ending: str = ".jpg"
    overlap: str = ""
    has_sites: bool = True
    masks: str = ""
    subgroups: Mapping[str, str] = field(default_factory=dict)
    no_images: tuple[str, ...] = ()
    unknown_sites: frozenset[str] = frozenset()
    options: tuple[Option, ...] = ()
    notes: tuple[str, ...] = ()
