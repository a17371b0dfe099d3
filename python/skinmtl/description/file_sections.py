"""What is said of a data set's files: sizes, formats, problems, and what is there twice."""

from __future__ import annotations

from skinmtl.common.counting import counted
from skinmtl.description.description import Description
from skinmtl.description.file_summary import LONG, FileSummary
from skinmtl.description.masks import mask_section
from skinmtl.description.sections import Picture, Section, Table, listed, percent

MEANING = {
    224: "smaller than the net's crop",
    256: "enlarged for the 10-crop test",
    480: "enlarged at the larger scales of jittering (256 to 480)",
}
PERCENTILE_NAMES = ("smallest", "5 %", "25 %", "median", "75 %", "95 %", "largest")
DIGITS = {"longer / shorter side": 2, "megapixels": 2}
STORED_ANEW = "A photograph that was stored anew is not found here: make_folds.py --near-duplicates looks for those."
ROWS = 100  # of problems and of duplicates on the page; the CSV files have all


def file_sections(description: Description) -> list[Section]:
    """Empty where the files were not looked at."""
    files = description.files
    if files is None:
        return []
    of_masks = [] if description.masks is None else [mask_section(description.manifest, description.masks)]
    return [_problems(description, files), *of_masks, _sizes(description, files), _duplicates(description, files)]


def _sizes(description: Description, files: FileSummary) -> Section:
    n_usable = len(files.usable)
    notes = [
        f"{counted(n_usable, 'usable file')} of {len(files.facts):,}; {files.total_bytes / 1e6:,.1f} MB in all. "
        "Width and height are those of the upright image."
    ]
    if not n_usable:
        return Section("sizes", "Image sizes", notes)

    def named(rows: list[int]) -> str:
        return listed([description.manifest.rows[n].image for n in rows], 8)

    kinds = [
        [f"{name}: {kind}", f"{n:,}", percent(n / n_usable), ""]
        for name, of in (("format", files.formats), ("colours", files.colours), ("bits a channel", files.bits))
        for kind, n in of.items()
    ]
    kinds.append(["turned or mirrored by EXIF", f"{files.turned:,}", percent(files.turned / n_usable), ""])
    for rows, what in (
        (files.long, f"more than {LONG:g} times as long as wide"),
        (files.blank, "of one colour"),
        (files.misnamed, "of another format than their names end in"),
        *((rows, line) for line, rows in files.told.items()),
    ):
        kinds.append([what, f"{len(rows):,}", percent(len(rows) / n_usable), named(rows)])
    percentiles = [
        [name, *(f"{value:,.{DIGITS.get(name, 0)}f}" for value in values)] for name, values in files.percentiles.items()
    ]
    below = [[str(side), f"{n:,}", percent(n / n_usable), MEANING[side]] for side, n in files.below.items()]
    common = [[size, f"{n:,}", percent(n / n_usable)] for size, n in files.common_sizes]
    tables = [
        Table("Sizes over the files", ["quantity", *PERCENTILE_NAMES], percentiles),
        Table("Shorter side", ["below", "images", "of usable", "what it means"], below, frozenset({3})),
        Table("What the files are", ["what", "images", "of usable", "which"], kinds, frozenset({0, 3})),
        Table(f"Most common of {counted(files.n_sizes, 'size')}", ["width x height", "images", "of usable"], common),
    ]
    chart = Picture(
        "sizes.png",
        "Histograms of the shorter side and of the aspect ratio",
        "Dashed: 224, the net's crop; 256 and 480, the ends of the paper's scale jittering.",
    )
    return Section("sizes", "Image sizes", notes, tables, [chart])


def _problems(description: Description, files: FileSummary) -> Section:
    if not files.problems:
        return Section("problems", "Files that cannot be used", [f"All {len(files.facts):,} files can be used."])
    of = description.manifest.rows
    rows = [[str(of[n].line), of[n].image, files.facts[n].kind, files.facts[n].problem] for n in files.problems[:ROWS]]
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in files.kinds.items())
    notes = [f"{counted(len(files.problems), 'image')} of {len(files.facts):,}: {kinds}. Mend them or take them out."]
    note = f"The first {ROWS} of {len(files.problems):,}; problems.csv has all." if files.problems[ROWS:] else ""
    table = Table("Problems", ["line", "image", "kind", "problem"], rows, frozenset({1, 2, 3}), note=note)
    return Section("problems", "Files that cannot be used", notes, [table])


def _duplicates(description: Description, files: FileSummary) -> Section:
    title = "Files that are there twice"
    if not files.duplicates:
        return Section("duplicates", title, [f"No two files are the same byte for byte. {STORED_ANEW}"])
    of, rows = description.manifest.rows, []
    for number, one in enumerate(files.duplicates, 1):
        for n in one.rows:
            said = "same" if one.same_labels else "DIFFER"
            rows.append(
                [str(number), str(of[n].line), of[n].image, "; ".join(of[n].lesions), of[n].location, said, of[n].group]
                + ([] if description.fold_of is None else [str(description.fold_of[n])])
            )
    columns = ["set", "line", "image", "lesions", "location", "labels", "group"]
    columns += [] if description.fold_of is None else ["fold"]
    notes = [
        f"{counted(len(files.duplicates), 'set')} of the same bytes; labels differ in "
        f"{sum(not one.same_labels for one in files.duplicates):,}, groups in "
        f"{sum(not one.same_group for one in files.duplicates):,}. {STORED_ANEW}"
    ]
    note = f"The first {ROWS} of {len(rows):,} lines; duplicates.csv has all." if rows[ROWS:] else ""
    table = Table("Duplicates", columns, rows[:ROWS], frozenset({2, 3, 4, 5, 6}), note=note)
    return Section("duplicates", title, notes, [table])
