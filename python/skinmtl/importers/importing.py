"""From the rows that an importer found to a manifest: what is kept, what is dropped and why. The same for all."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Iterable, Mapping

from tqdm import tqdm

from caffe_files.errors import InputError
from skinmtl.data.manifest import KNOWN_COLUMNS, Manifest, Row, image_name_fault
from skinmtl.data.nothing import Nothings
from skinmtl.images.formats import has_image_ending
from skinmtl.importers.files import Files, Images
from skinmtl.importers.importer import Found, Importer
from skinmtl.importers.labels import Labels, SiteMap
from skinmtl.importers.masks import Masks
from skinmtl.importers.records import Groups
from skinmtl.importers.source import Source, Table

NO_IMAGE = "no image named"
UNUSABLE_NAME = "unusable image name"
NO_LESION = "no lesion label"
NO_SITE = "no site"
LEFT_OUT = "site left out by the map"
UNKNOWN_LESION = "unknown lesion"
UNKNOWN_SITE = "unknown site"
SEVERAL_SITES = "several sites"
MISSING_IMAGE = "missing image"
UNREAD_IMAGE = "image of a format that is not read"
AMBIGUOUS_IMAGE = "ambiguous image"
DUPLICATE = "duplicate"
CONTRADICTORY = "contradictory duplicate"

REASONS = {
    NO_IMAGE: "The row names no image.",
    UNUSABLE_NAME: "The image's name cannot stand in a manifest: an absolute path, `..`, or a control character.",
    NO_LESION: "No lesion label: nothing to learn.",
    UNKNOWN_LESION: "The lesion is a word that stands for no value, such as `N/A`. `--keep-word` makes it a name.",
    NO_SITE: "No body site, so no location label.",
    LEFT_OUT: "The site map has an empty `to` for each of the row's sites.",
    UNKNOWN_SITE: "The data set says that the site is not known. A site map (`from,to`) can give it a name.",
    SEVERAL_SITES: "More than one site cannot train a softmax. A site map can merge them into one.",
    MISSING_IMAGE: "No image file of that name, or, where the table names a folder, none in a folder of that name.",
    UNREAD_IMAGE: "The file is there, but of a format that is not read, or not by this installation.",
    AMBIGUOUS_IMAGE: "Several image files of that name whose bytes differ. `--images` can name one folder of them.",
    DUPLICATE: "The same image with the same labels is on an earlier row.",
    CONTRADICTORY: "Rows that name the same image and disagree in lesions, site or split: none of them is kept.",
}


@dataclass(frozen=True)
class Dropped:
    """A row that was read and not kept."""

    file: Path
    line: int
    image: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Imported:
    """What came of an import: `manifest.rows` are the rows kept, in the order of the tables."""

    importer: Importer
    rows_read: int
    manifest: Manifest
    dropped: tuple[Dropped, ...]
    tables: tuple[Table, ...]
    images: Images | None
    masks: Masks | None
    lesion_labels: Labels
    site_labels: Labels
    site_map: SiteMap
    nothings: Nothings = field(default_factory=Nothings)
    group_labels: Labels = field(default_factory=Labels)
    groups_joined: int = 0
    lesion_sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    noticed: Mapping[str, Any] = field(default_factory=dict)

    def reasons(self) -> dict[str, int]:
        """Reason -> rows dropped for it, in the order in which the rules apply."""
        counted = Counter(row.reason for row in self.dropped)
        order = [*(reason for reason in counted if reason not in REASONS), *REASONS]
        return {reason: counted[reason] for reason in order if counted[reason]}


def import_dataset(
    importer: Importer,
    root: Path,
    options: Mapping[str, Any] | None = None,
    images: Path | None = None,
    metadata_only: bool = False,
    site_map: Path | None = None,
    encoding: str = "utf-8",
    keep_words: Iterable[str] = (),
    masks: Path | None = None,
    without_locations: bool = False,
) -> Imported:
    """Reads a data set's tables below `root` and decides about each row; writes nothing.

    images         the folder that the manifest's image names are relative to (None: `root`)
    masks          the folder that its masks' names are relative to (None: `root`)
    metadata_only  do not look for images and masks: names are what the data set's own naming gives
    site_map       CSV of `SiteMap`, applied before the rules about sites
    keep_words     words that usually mean nothing, and are names in this data set
    without_locations  leave body sites out, so that no row is dropped for the want of one
    InputError where a table cannot be read, or where no row at all can be kept.
    """
    files = Files(root)
    chosen = {option.name: option.unset for option in importer.options}
    chosen.update(options or {})
    has_sites = importer.has_sites and not without_locations
    importer = replace(importer, ending=chosen.get("ending") or importer.ending, has_sites=has_sites)
    found_images = found_masks = image_files = mask_files = None
    if not metadata_only:
        image_files = files if images is None else Files(images)
        found_images = Images(image_files, importer.ending, importer.no_images)
        mask_files = files if masks is None else Files(masks)
        found_masks = Masks(mask_files) if importer.masks else None
    source = Source(files, chosen, encoding, keep_words, image_files, mask_files, has_sites)
    work = _Work(importer, found_images, SiteMap(site_map), source.nothings, found_masks)
    for found in tqdm(importer.read(source), desc=importer.name, unit=" rows", disable=None, leave=False):
        work.take(found)
    work.drop_duplicates()
    imported = replace(work.result(source.tables), noticed=source.noticed)
    if not imported.manifest.rows:
        raise InputError(_nothing_kept(imported, root))
    return imported


class _Work:
    """The rows so far: `candidates` maps an image to the rows that are usable and name it."""

    def __init__(
        self, importer: Importer, images: Images | None, site_map: SiteMap, nothings: Nothings, masks: Masks | None
    ) -> None:
        self.importer = importer
        self.nothings = nothings
        self.rows_read = 0
        self.images = images
        self.masks = masks
        self.site_map = site_map
        self.lesion_labels = Labels()
        self.site_labels = Labels()
        self.group_names = Labels()
        self.groups = Groups()
        self.group_of_image: dict[str, str] = {}
        self.dropped: list[Dropped] = []
        self.candidates: dict[str, list[tuple[Found, Row]]] = defaultdict(list)

    def take(self, found: Found) -> None:
        """Drops the row for the first reason that applies, or makes it a candidate.

        Groups that share an image, be it on a row that is dropped, become one: it must not straddle folds.
        """
        self.rows_read += 1
        asked = found.image.strip().replace("\\", "/")
        labels = self.lesion_labels.clean_all(found.lesions)
        lesions = tuple(name for name in labels if self.nothings.known(name, "lesions"))
        named = self.site_labels.clean_all(found.sites)
        sites = self.site_map.apply(named)
        known_sites = tuple(filter(self._known_site, sites))
        fault = image_name_fault(asked)
        image, reason, detail = (asked, "", "") if fault else self._image(asked)
        group = self._group(found.group) or image
        if not fault:
            self.groups.join(self.group_of_image.setdefault(image, group), group)
        if found.problem:
            reason, detail = found.problem, found.detail
        elif fault:
            reason = UNUSABLE_NAME if asked else NO_IMAGE
        elif not lesions:
            reason, detail = UNKNOWN_LESION if labels else NO_LESION, ";".join(labels)
        elif not self.importer.has_sites:
            known_sites = ("",)
        elif not sites:
            reason, detail = (LEFT_OUT if named else NO_SITE), ";".join(named)
        elif not known_sites:
            reason, detail = UNKNOWN_SITE, ";".join(sites)
        elif len(known_sites) > 1:
            reason, detail = SEVERAL_SITES, ";".join(known_sites)
        if reason:
            self._drop(found, reason, detail)
            return
        others = {f"source_{name}" if name in KNOWN_COLUMNS else name: text for name, text in found.others.items()}
        mask = "" if self.masks is None else self.masks.find(image, found.mask)
        row = Row(0, image, lesions, known_sites[0], group, others, mask, found.split)
        self.candidates[image].append((found, row))

    def drop_duplicates(self) -> None:
        """Of rows that name the same image the first stays where all agree; where they do not, none can be trusted."""
        for image, rows in list(self.candidates.items()):
            if len(rows) == 1:
                continue
            first = rows[0][0]
            agree = len({(frozenset(row.lesions), row.location, row.split) for _, row in rows}) == 1
            for found, row in rows[1:] if agree else rows:
                labels = (";".join(row.lesions), row.location, row.split)
                detail = f"{image}: {' / '.join(filter(None, labels))}"
                if agree:
                    detail = f"{image}: as {first.file.name}:{first.line}"
                self._drop(found, DUPLICATE if agree else CONTRADICTORY, detail)
            self.candidates[image] = rows[:1] if agree else []

    def result(self, tables: Iterable[Table]) -> Imported:
        kept = [each for rows in self.candidates.values() for each in rows]
        rows = tuple(replace(row, line=line, group=self.groups.of(row.group)) for line, (_, row) in enumerate(kept, 2))
        sites: dict[str, dict[str, None]] = defaultdict(dict)
        for found, row in kept:
            if row.location and not self.nothings.is_one(found.lesion_id):
                sites[found.lesion_id][row.location] = None
        manifest = Manifest(
            Path("manifest.csv"),
            rows,
            tuple(sorted({name for row in rows for name in row.lesions})),
            tuple(sorted({row.location for row in rows} - {""})),
        )
        order = {table.path: number for number, table in enumerate(tables)}
        self.dropped.sort(key=lambda row: (order.get(row.file, len(order)), row.line))
        return Imported(
            self.importer,
            self.rows_read,
            manifest,
            tuple(self.dropped),
            tuple(tables),
            self.images,
            self.masks,
            self.lesion_labels,
            self.site_labels,
            self.site_map,
            self.nothings,
            self.group_names,
            self.groups.joined,
            {lesion: tuple(of) for lesion, of in sites.items() if len(of) > 1},
        )

    def _known_site(self, site: str) -> bool:
        return bool(self.nothings.known(site, "locations")) and site.lower() not in self.importer.unknown_sites

    def _group(self, found: str) -> str:
        """Empty where there is none. A kept word gets a prefix: readers of the manifest would take it for none."""
        name = self.nothings.known(self.group_names.clean(found), "groups")
        return f"group:{name}" if self.nothings.is_kept(name) else name

    def _drop(self, found: Found, reason: str, detail: str) -> None:
        self.dropped.append(Dropped(found.file, found.line, found.image, reason, detail))

    def _image(self, asked: str) -> tuple[str, str, str]:
        """(image, reason, detail): the image's name in the manifest, or why there is none."""
        if self.images is None:
            path = PurePosixPath(asked)
            ending = "" if has_image_ending(path.name) else self.importer.ending
            if self.nothings.is_one(asked):
                return asked, NO_IMAGE, asked
            return str(path) + ending, "", ""
        found = self.images.find(asked)
        if len(found) == 1:
            return found[0], "", ""
        if not found and self.nothings.is_one(asked):
            return asked, NO_IMAGE, asked
        unread = "" if found else self.images.why_unread(asked)
        if unread:
            return asked, UNREAD_IMAGE, unread
        return asked, AMBIGUOUS_IMAGE if found else MISSING_IMAGE, "; ".join(found)


def _nothing_kept(imported: Imported, root: Path) -> str:
    why = ", ".join(f"{count} {reason}" for reason, count in imported.reasons().items()) or "the tables have none"
    message = f"{root}: of {imported.rows_read} rows none can be kept: {why}"
    if AMBIGUOUS_IMAGE in imported.reasons():
        return f"{message}; name the folder that has the images to use (--images)"
    missing = next((row.image for row in imported.dropped if row.reason == MISSING_IMAGE), None)
    if missing is None or imported.images is None:
        return f"{message}; correct the tables, or give a site map where the sites are at fault"
    near = next(iter(imported.images.in_other_folders.get(missing, ())), "")
    return (
        f"{message}; looked for {missing!r} among {len(imported.images)} image files below {imported.images.root}"
        f"{f' ({near!r} is in another folder)' if near else ''}: "
        "give the image folder (--images), or --metadata-only where they are not there yet"
    )
