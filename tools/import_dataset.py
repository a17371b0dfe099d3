#!/usr/bin/env python3
"""Makes a manifest from a public data set, as it is downloaded, and says of each row that it drops why.

example: tools/import_dataset.py ham10000 --root HAM10000 --out ham10000
         tools/import_dataset.py --list
         tools/import_dataset.py scin --help

DIR/manifest.csv, DIR/lesions.txt, DIR/locations.txt
DIR/import.md, DIR/import.json  rows read, kept and dropped by reason, label counts, what was noticed, what was read
DIR/dropped.csv                 each dropped row: file, line, image, reason
"""

import argparse
import shlex
from pathlib import Path
from typing import Any, List

from cli import new_parser, run
from skinmtl.common.counting import counted
from skinmtl.importers.importer import Importer
from skinmtl.importers.importing import Imported, import_dataset
from skinmtl.importers.kept_columns import kept_columns_text, unused_images, unused_images_text
from skinmtl.importers.registry import importers
from skinmtl.importers.report import masks_and_splits, noticed, write_import
from skinmtl.refinement.rules import ready_maps

UNUSED_SHOWN = 10  # of the site map's names that no row has; import.json has all


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--list", action="store_true", help="show the data sets, their home pages and licences, and stop"
    )
    known = importers()
    names = parser.add_subparsers(dest="name", metavar="NAME", help=f"the data set: {', '.join(known)}")
    for importer in known.values():
        add_importer(names, importer)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if not args.list and args.name is None:
        parser.error("which data set? Give its NAME, or --list")
    return args


def add_importer(names: Any, importer: Importer) -> None:
    """The sub-command of one data set: the flags that all have, and its own."""
    parser = names.add_parser(
        importer.name,
        help=importer.title,
        description=f"{importer.title}\n{importer.home_page}\nlicence: {importer.licence}; group: {importer.group}",
    )
    parser.add_argument(
        "--root", type=Path, required=True, metavar="DIR", help="the folder with the tables, as downloaded"
    )
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--images", type=Path, metavar="DIR", help="the folder with the images (default: --root)")
    where.add_argument(
        "--metadata-only",
        action="store_true",
        help="the images are not there yet: take their names from the tables (default: drop rows without an image)",
    )
    if importer.masks:
        parser.add_argument(
            "--masks", type=Path, metavar="DIR", help=f"the folder with the masks, {importer.masks} (default: --root)"
        )
    if importer.has_sites:
        parser.add_argument(
            "--without-locations",
            action="store_true",
            help="leave the body sites out, so that no row is dropped for the want of one: for nets without locations",
        )
    parser.add_argument(
        "--site-map",
        type=map_path,
        metavar="CSV",
        help="from,to: other names for body sites, so that a row with several that become one is kept, and one with an "
        f"unknown site (default: such rows are dropped and counted); or a ready map: {', '.join(ready_maps())}",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        default="utf-8",
        help="of the tables (default %(default)s; cp1252 where Excel on Windows wrote them)",
    )
    parser.add_argument(
        "--keep-word",
        action="append",
        default=[],
        metavar="WORD",
        help="a word that usually stands for no value, such as none, and is a name here; may be given again",
    )
    own = parser.add_argument_group("flags of this data set") if importer.options else parser
    switches = [option for option in importer.options if option.switch]
    if switches:
        one_of = own.add_mutually_exclusive_group()
        for option in switches:
            one_of.add_argument(option.flag, action="store_true", help=option.help)
    for option in importer.options:
        if option.switch:
            continue
        default = "" if option.default is None else f" (default {option.default})"
        own.add_argument(
            option.flag,
            type=option.kind,
            action="append" if option.many else "store",
            default=None if option.many else option.default,
            required=option.required,
            metavar=option.metavar,
            choices=option.choices,
            help=(option.help + default).replace("%", "%%"),
        )


def map_path(name: str) -> Path:
    """An argparse type: a file, or the name of a map that comes with the package."""
    return ready_maps().get(name, Path(name))


def main() -> None:
    args = parse_args()
    known = importers()
    if args.list:
        for importer in known.values():
            print(f"{importer.name}: {importer.title}\n  {importer.home_page}\n  licence: {importer.licence}")
            print(f"  lesion labels: {importer.lesion_labels}; group: {importer.group}")
            if importer.overlap:
                print(f"  {importer.overlap}")
        return
    importer = known[args.name]
    given = {option.name: getattr(args, option.name) for option in importer.options}
    options = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }
    imported = import_dataset(
        importer,
        args.root,
        options,
        args.images,
        args.metadata_only,
        args.site_map,
        args.encoding,
        args.keep_word,
        getattr(args, "masks", None),
        getattr(args, "without_locations", False),
    )
    write_import(imported, args.out, vars(args))
    print_result(imported, args.out)


def print_result(imported: Imported, out: Path) -> None:
    counts = {"rows read": imported.rows_read, "kept": len(imported.manifest.rows), **imported.reasons()}
    width = max(map(len, counts))
    for name, count in counts.items():
        label = name if name in ("rows read", "kept") else f"dropped: {name}"
        print(f"{label:<{width + 9}} {count:>8}")
    manifest = imported.manifest
    lesions, locations = len(manifest.lesion_names), len(manifest.location_names)
    print(f"{counted(lesions, 'lesion')}, {counted(locations, 'location')}; see {out / 'import.md'}")
    print_masks_and_splits(imported)
    for line in filter(None, [*kept_columns_text(imported), unused_images_text(unused_images(imported))]):
        print(line)
    if noticed(imported):
        counts = ((name, value if isinstance(value, int) else len(value)) for name, value in noticed(imported).items())
        print(f"noticed: {', '.join(f'{name} ({count})'.replace('_', ' ') for name, count in counts)}")
    unused = imported.site_map.unused()
    if unused:
        shown = ", ".join(map(repr, unused[:UNUSED_SHOWN]))
        more = ", ..." if len(unused) > UNUSED_SHOWN else ""
        print(f"no row has these names of the site map ({len(unused)}): {shown}{more}")
    if imported.images is None:  # folders and endings are part of an image's name
        print("next: when the images are there, the same without --metadata-only, into another folder")
        return
    for line in next_steps(imported, out):
        print(line)


def next_steps(imported: Imported, out: Path) -> List[str]:
    """The commands that follow: folds, of the official split where there is a test set, LMDBs, or all at once."""
    paths = out / "manifest.csv", out / "folds.csv", out / "train", imported.images.root
    table, folds, train, images = (shlex.quote(str(path)) for path in paths)
    manifest = imported.manifest
    splits = {row.split for row in manifest.rows}
    official = splits >= {"train", "test"}
    by_split, watched = (" --split-column split" if official else ""), ""
    if official and "validation" in splits:
        watched = " --validation-fold 1"  # make_folds.py has test as fold 0, validation as fold 1
    if manifest.has_masks and imported.masks.root != imported.images.root:
        images += f" --masks {shlex.quote(str(imported.masks.root))}"
    given = f" --folds {folds} --only-fold 0{watched}" if official else ""
    preset = " --preset mask-demo" if manifest.has_masks and not manifest.location_names else ""
    return [
        f"next: tools/make_folds.py --manifest {table} --out {folds}{by_split}",
        f"then: tools/make_lmdb.py --manifest {table} --images {images} --folds {folds} --fold 0 --subset train"
        f"{watched} --out {train}",
        f"or all at once: skinmtl run {table} --images {images}{given}{preset} --out NEW-FOLDER",
    ]


def print_masks_and_splits(imported: Imported) -> None:
    """How many images have a mask and are of which split, and what of the download is not there."""
    found = masks_and_splits(imported)
    if "masks" in found:
        masks = found["masks"]
        total = len(imported.manifest.rows)
        without = counted(len(masks["images_without"]), "image")
        print(f"masks: {masks['images_with_one']} of {total} images have one, {without} none")
    if "splits" in found:
        counts = (f"{name} {of['rows']}" for name, of in found["splits"].items())
        print(f"splits: {', '.join(counts)}")
    for name in found.get("not_there", ()):
        print(f"not there: {name}")


if __name__ == "__main__":
    run(main)
