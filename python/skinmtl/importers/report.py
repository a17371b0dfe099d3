"""What an import leaves on disk: the manifest, every dropped row, and what was done in figures and in words."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Sequence

from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.markdown import plain
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import write_manifest
from skinmtl.data.manifest_columns import SPLITS
from skinmtl.data.names import look_alike_groups, look_alikes
from skinmtl.data.table import write_csv
from skinmtl.importers.importing import REASONS, Dropped, Imported
from skinmtl.importers.kept_columns import kept_columns, unused_images, unused_images_text

NOT_THERE = "not_there"  # what an importer notes of a download that it did not find: a section of its own
EXAMPLES = 5  # dropped rows a reason in import.md; dropped.csv has all

RULES = (
    "Rows are image rows: a table's row that names several images counts once for each.",
    "Rows read = rows kept + rows dropped. A row is dropped for the first reason that applies, in the order below.",
    "Labels are kept as they are written, but spaces of all kinds become single plain ones, an accented letter becomes "
    "one character, invisible characters are removed, and `;` inside a label becomes a comma.",
    "Near-synonyms stay apart.",
    "A site that is not known falls away where the row names a known one too.",
    "The group is the patient, else the lesion or case, else the image's own name.",
    "Words that stand for no value (`N/A`, `nan`, `#REF!`, `unknown`, `-` and the like) are no label, site or patient; "
    "`--keep-word` makes one a name.",
    "Groups that share an image are one.",
    "A row whose mask is not there is kept, without one, and counted.",
    "A lesion whose rows name different sites keeps them: each row its own. They are listed.",
)


def write_import(imported: Imported, out: Path, arguments: Mapping[str, Any]) -> None:
    """Makes the folder `out`: manifest.csv, lesions.txt, locations.txt, dropped.csv, import.json, import.md."""
    record = summary(imported)
    with new_folder(out) as folder:
        write_manifest(folder, imported.manifest)
        write_csv(
            folder / "dropped.csv",
            ("file", "line", "image", "reason", "detail"),
            ((row.file, row.line or "", row.image, row.reason, row.detail) for row in imported.dropped),
        )
        write_json(folder / "import.json", {**record, "made_by": made_by(dict(arguments))})
        (folder / "import.md").write_text(_markdown(imported, record), encoding="utf-8", errors="backslashreplace")


def summary(imported: Imported) -> dict[str, Any]:
    """The counts of an import, ready for JSON."""
    rows = imported.manifest.rows
    groups = Counter(row.group for row in rows)
    importer = imported.importer
    return {
        "dataset": importer.name,
        "title": importer.title,
        "home_page": importer.home_page,
        "licence": importer.licence,
        "tables": [
            {"file": str(table.path), "records": table.records, "sha256": sha256(table.path)}
            for table in imported.tables
        ],
        "site_map": imported.site_map.path
        and {"file": str(imported.site_map.path), "sha256": sha256(imported.site_map.path)},
        "images": imported.images and str(imported.images.root),
        "rows_read": imported.rows_read,
        "rows_kept": len(rows),
        "rows_dropped": len(imported.dropped),
        "dropped": imported.reasons(),
        "groups": len(groups),
        "largest_group": max(groups.values(), default=0),
        "rows_with_several_lesions": sum(len(row.lesions) > 1 for row in rows),
        "lesions": _sorted_counts(name for row in rows for name in row.lesions),
        "locations": _sorted_counts(row.location for row in rows if row.location),
        **masks_and_splits(imported),
        "columns": kept_columns(imported),
        "image_files_of_no_kept_row": unused_images(imported),
        "noticed": noticed(imported),
    }


def masks_and_splits(imported: Imported) -> dict[str, Any]:
    """What the data set has of these.

    not_there  parts of the download that were not found
    masks      their folder, how many images have one, and which have none, with the reason
    splits     split -> its rows, those with a mask, and lesion -> rows
    """
    rows = imported.manifest.rows
    found: dict[str, Any] = {}
    if imported.noticed.get(NOT_THERE):
        found[NOT_THERE] = list(imported.noticed[NOT_THERE])
    if imported.masks is not None:
        without = {row.image: imported.masks.missing[row.image] for row in rows if not row.mask}
        found["masks"] = {
            "folder": str(imported.masks.root),
            "images_with_one": len(rows) - len(without),
            "images_without": without,
        }
    if any(row.split for row in rows):
        found["splits"] = {
            split or "none": {
                "rows": len(of),
                "with_a_mask": sum(bool(row.mask) for row in of),
                "lesions": _sorted_counts(name for row in of for name in row.lesions),
            }
            for split in (*SPLITS, "")
            for of in [[row for row in rows if row.split == split]]
            if of
        }
    return found


def noticed(imported: Imported) -> dict[str, Any]:
    """What a user should know beside the counts; without what did not occur."""
    images = imported.images
    manifest = imported.manifest
    found = {
        **{name: value for name, value in imported.noticed.items() if name != NOT_THERE},
        "labels_changed": [
            {"from": old, "to": new, "times": count}
            for labels in (imported.lesion_labels, imported.site_labels, imported.group_labels)
            for (old, new), count in sorted(labels.changed.items())
        ],
        "groups_joined_since_they_share_an_image": imported.groups_joined,
        "words_that_mean_nothing": {
            f"{word!r} in {column}": count
            for column, words in sorted(imported.nothings.counted.items())
            for word, count in words.most_common()
        },
        "look_alike_groups": look_alike_groups(row.group for row in manifest.rows if row.group != row.image),
        "look_alike_lesions": look_alikes(manifest.lesion_names),
        "look_alike_locations": look_alikes(manifest.location_names),
        "rows_without_a_group_so_that_each_is_its_own": manifest.without_group,
        "lesions_with_several_sites": {lesion: list(sites) for lesion, sites in imported.lesion_sites.items()},
        "site_map_entries_that_no_row_had": imported.site_map.unused(),
        "rows_changed_by_the_site_map": dict(sorted(imported.site_map.used.items())),
        "lines_and_columns_passed_over": [note for each in imported.tables for note in each.oddities.notes(each.path)],
        "fields_with_line_breaks": sum(table.line_breaks for table in imported.tables),
    }
    if images is not None:
        found["images_with_another_ending"] = images.other_ending
        found["images_in_several_places"] = images.copies
        found["images_of_that_name_only_in_other_folders"] = images.in_other_folders
        found["image_files_that_cannot_stand_in_a_manifest"] = images.unusable
        found["image_files_passed_over_since_they_are_no_images"] = len(images.passed_over)
    return {name: value for name, value in found.items() if value}


def _sorted_counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda each: (-each[1], each[0])))


def _markdown(imported: Imported, record: Mapping[str, Any]) -> str:
    importer = imported.importer
    parts = [
        f"# {importer.title}\n\n{importer.home_page} (licence: {importer.licence}). Group: {importer.group}.\n",
        _table(("rows", "count"), [("read", record["rows_read"]), ("kept", record["rows_kept"])])
        + _rows([("dropped", record["rows_dropped"])]),
        "## Rules\n\n"
        + "".join(f"- {rule}\n" for rule in (*RULES, *filter(None, [importer.overlap]), *importer.notes)),
        "## Dropped\n\n" + _dropped(imported),
        f"## Groups\n\nGroups: {record['groups']}. Rows in the largest: {record['largest_group']}.\n",
        f"## Lesions ({len(record['lesions'])})\n\n" + _table(("lesion", "rows"), record["lesions"].items()),
        *_locations_text(record["locations"]),
        *_not_there_text(record.get(NOT_THERE, ())),
        *_splits_text(record.get("splits", {})),
        *_masks_text(record.get("masks")),
        *_columns_text(record["columns"]),
        "## Noticed\n\n" + _noticed_text(record["noticed"], unused_images_text(record["image_files_of_no_kept_row"])),
        "## Read from\n\n"
        + _table(("file", "records", "sha256"), [tuple(table.values()) for table in record["tables"]])
        + _rows((each["file"], "site map", each["sha256"]) for each in [record["site_map"]] if each),
    ]
    return "\n".join(parts)


def _locations_text(locations: Mapping[str, int]) -> Iterator[str]:
    if locations:
        yield f"## Locations ({len(locations)})\n\n" + _table(("location", "rows"), locations.items())
    else:
        yield "## Locations\n\nNone: the manifest has no column of locations.\n"


def _not_there_text(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"## Not there ({len(names)})\n\n" + "".join(f"- {plain(name)}\n" for name in names)


def _splits_text(splits: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if splits:
        lines = (
            (name, of["rows"], of["with_a_mask"], ", ".join(f"{lesion} {n}" for lesion, n in of["lesions"].items()))
            for name, of in splits.items()
        )
        yield "## Splits\n\n" + _table(("split", "rows", "with a mask", "lesions"), lines)


def _masks_text(masks: Mapping[str, Any] | None) -> Iterator[str]:
    if masks is None:
        return
    without = masks["images_without"]
    text = f"## Masks\n\nImages with a mask: {masks['images_with_one']}. Images without: {len(without)}"
    if not without:
        yield f"{text}.\n"
        return
    yield f"{text}; import.json names all, these are the first:\n\n" + _table(
        ("image", "why"), list(without.items())[:EXAMPLES]
    )


def _dropped(imported: Imported) -> str:
    if not imported.dropped:
        return "No row.\n"
    parts = ["All of them with file and line: dropped.csv. The first of each reason:\n"]
    for reason, count in imported.reasons().items():
        rows = [row for row in imported.dropped if row.reason == reason][:EXAMPLES]
        lines = [(_place(row), row.image, row.detail) for row in rows]
        meaning = f" {REASONS[reason]}" if reason in REASONS else ""
        parts.append(f"### {reason}: {count}\n\n{meaning.strip()}\n\n" + _table(("row", "image", "detail"), lines))
    return "\n".join(parts)


def _place(row: Dropped) -> str:
    return f"{row.file.name}:{row.line}" if row.line else row.file.name


def _columns_text(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if columns:
        lines = [(name, of["tells"], of["rows"]) for name, of in columns.items()]
        text = "What tells subgroups is for `evaluate.py --subgroup-column`.\n\n"
        yield f"## Other columns ({len(columns)})\n\n{text}" + _table(("column", "tells", "rows with a value"), lines)


def _noticed_text(found: Mapping[str, Any], unused: str) -> str:
    lines = [f"- {plain(unused)}\n"] if unused else []
    if not (found or lines):
        return "Nothing else.\n"
    return "".join(lines) + "".join(
        f"- {name.replace('_', ' ')}: {plain(value if isinstance(value, int) else len(value))}"
        f"{'' if isinstance(value, int) else ' (' + _examples(value) + ')'}\n"
        for name, value in found.items()
    )


def _examples(value: Any) -> str:
    if isinstance(value, dict):
        items = [f"{name}: {', '.join(of) if isinstance(of, list) else of}" for name, of in value.items()]
    else:
        items = [_example(each) for each in value]
    more = "; ..." if len(items) > EXAMPLES else ""
    return "; ".join(map(plain, items[:EXAMPLES])) + more


def _example(each: Any) -> str:
    if isinstance(each, dict):
        shown = re.sub("  +", lambda spaces: "\u2423" * len(spaces.group()), each["from"])  # Markdown shows one space
        return f"{shown!r} to {each['to']!r}, {each['times']} times"
    return " | ".join(each) if isinstance(each, tuple) else repr(each)


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    header = list(header)
    return _rows([header, ["---"] * len(header), *rows])


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    return "".join("| " + " | ".join(map(plain, row)) + " |\n" for row in rows)
