"""What tools/leakage.py --against does: the images that stand in two sets, for people, as JSON, and left out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from caffe_files.outputs import new_file, new_folder
from skinmtl.common.counting import counted
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import Manifest, write_manifest
from skinmtl.data.table import write_csv
from skinmtl.splits import near_report
from skinmtl.splits.against import BYTES, ID, NEAR, Shared, shared, without
from skinmtl.splits.near_duplicates import Search

SHOWN = 20  # pairs that are printed; the JSON file has all
COLUMNS = ("image", "other", "ways", "distance", "correlation")


class Comparison(NamedTuple):
    """What to compare, and how: see `against.shared`."""

    other: Manifest
    images: Path | None
    other_images: Path | None
    names: bool
    search: Search | None


def compare_sets(
    manifest: Manifest, how: Comparison, json_path: Path | None, without_path: Path | None, arguments: dict[str, Any]
) -> tuple[int, list[str]]:
    """(how many images of the manifest stand in the other too, lines for people).

    json_path     where all pairs are written, if any
    without_path  the folder to make of the manifest without these images, if any
    """
    with ExitStack() as outputs:  # opened before the work, so that a place that cannot be written to is told at once
        partial = outputs.enter_context(new_file(json_path)) if json_path else None
        folder = outputs.enter_context(new_folder(without_path)) if without_path else None
        found = shared(manifest, how.other, how.images, how.other_images, how.names, how.search)
        record = {**made_by(arguments), **_record(manifest, how, found)}
        if partial:
            write_json(
                partial, {**record, "pairs": [dict(zip(COLUMNS, pair)) for pair in _pairs(manifest, how, found)]}
            )
        lines = list(_lines(manifest, how, found))
        if folder:
            rest = without(manifest, found.rows())
            write_manifest(folder, rest)
            write_csv(folder / "left_out.csv", COLUMNS, _pairs(manifest, how, found))
            write_json(folder / "made_by.json", record)
            lines += _left(manifest, rest, without_path)
    return len(found.rows()), lines


def _ways(how: Comparison) -> list[str]:
    """Those that are looked for."""
    wanted = {ID: how.names, BYTES: how.images is not None, NEAR: how.search is not None}
    return [way for way, sought in wanted.items() if sought]


def _record(manifest: Manifest, how: Comparison, found: Shared) -> dict[str, Any]:
    record: dict[str, Any] = {
        "manifest_sha256": sha256(manifest.path),
        "against_sha256": sha256(how.other.path),
        "images": len(manifest.rows),
        "images_against": len(how.other.rows),
        "shared": len(found.rows()),
        "by_way": {way: len(found.rows(way)) for way in _ways(how)},
        "images_whose_name_is_no_id": found.no_ids,
    }
    if found.near is not None:
        both = Manifest(manifest.path, manifest.rows + how.other.rows, (), ())
        record["near_duplicates"] = near_report.record(both, found.near, how.search)
    return record


def _pairs(manifest: Manifest, how: Comparison, found: Shared) -> Iterator[tuple[Any, ...]]:
    for a, b, ways, distance, correlation in found.meetings:
        yield manifest.rows[a].image, how.other.rows[b].image, "; ".join(ways), distance, correlation


def _lines(manifest: Manifest, how: Comparison, found: Shared) -> Iterator[str]:
    yield f"{manifest.path}: {counted(len(manifest.rows), 'image')}; {how.other.path}: {len(how.other.rows)}"
    for way in _ways(how):
        yield f"{way}: {counted(len(found.rows(way)), 'image')}"
    if found.no_ids:
        why = "the name is a number, or several images of one set have it"
        yield f"{counted(found.no_ids, 'image')} of both sets not compared by id: {why}"
    if how.images is None:
        yield "the files were not compared; give --images, and --against-images where the other set's are elsewhere"
    elif found.near is None:
        yield "near-duplicates were not sought; give --near-duplicates"
    else:
        yield from near_report.plain_lines(_record(manifest, how, found)["near_duplicates"])
    total = len(found.rows())
    yield f"in both sets: {total} of {len(manifest.rows)} images ({100 * total / len(manifest.rows):.1f} %)"
    pairs = list(_pairs(manifest, how, found))
    for image, other, ways, distance, correlation in pairs[:SHOWN]:
        near = "" if distance is None else f" ({distance} of 64 bits apart, correlation {correlation:.3f})"
        yield f"  {image} = {other}: {ways}{near}"
    if len(pairs) > SHOWN:
        yield f"  and {len(pairs) - SHOWN} more pairs; --json or --out-without lists all"


def _left(manifest: Manifest, rest: Manifest, folder: Path) -> Iterator[str]:
    gone = [name for name in manifest.lesion_names if name not in rest.lesion_names]
    gone += [name for name in manifest.location_names if name not in rest.location_names]
    yield f"without them: {counted(len(rest.rows), 'image')}, in {folder / 'manifest.csv'}; left_out.csv has the others"
    if gone:
        yield f"labels that no image has any more: {', '.join(gone)}"
