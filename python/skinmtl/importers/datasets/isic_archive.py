"""Any export of the ISIC Archive: the metadata that its site or its command line tool `isic` writes.

An export has only the columns that its images fill. Until April 2026 the site is `anatom_site_general`; since then it
is `anatom_site_1` to `anatom_site_5`, from the root (`Trunk`) to the detail. The diagnosis was `diagnosis`; it is
`diagnosis_1` to `diagnosis_5`, from `Malignant` to the subtype. Both may stand side by side. `anatom_site_special`
(nails, palms and soles, mucosa) says more about the site, and is no place of its own in that tree.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.table import read_csv
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import kept
from skinmtl.importers.source import Source

LEVELS = ("1", "2", "3", "4", "5", "deepest")
SITE, FLAT_SITE, SPECIAL_SITE = "anatom_site", "anatom_site_general", "anatom_site_special"
DIAGNOSIS, FLAT_DIAGNOSIS = "diagnosis", "diagnosis"
KEPT = ("copyright_license", SPECIAL_SITE)
SUBGROUPS = {
    "fitzpatrick_skin_type": "Fitzpatrick skin type",
    "sex": "sex",
    "age_approx": "age",
    "image_type": "device",
    "dermoscopic_type": "device",
    "attribution": "centre",
}
OTHER_TYPE = "another image type"


def read(source: Source) -> Iterator[Found]:
    options, table = source.options, _table(source)
    header = source.header(table)
    sites = _columns(header, SITE, FLAT_SITE, options["site_level"], "1")
    diagnoses = _columns(header, DIAGNOSIS, FLAT_DIAGNOSIS, options["diagnosis_level"], "deepest")
    special = (SPECIAL_SITE,) if options["special_site"] == "own" else ()
    types = {name.lower() for name in options["image_type"]}
    patients = _patients(source, table, header)
    licences: Counter[str] = Counter()
    with_special = 0
    for line, record in source.read(
        table, ("isic_id", *sites, *diagnoses, *special), optional=("patient_id", "lesion_id")
    ):
        lesion = source.known(record.get("lesion_id", ""))
        patient = source.known(record.get("patient_id", "")) or patients.get(lesion, "")
        image_type = record.get("image_type", "")
        licences[record.get("copyright_license", "") or "not named"] += 1
        with_special += bool(record.get(SPECIAL_SITE))
        unwanted = bool(types) and image_type.lower() not in types
        yield Found(
            file=table,
            line=line,
            image=record["isic_id"],
            lesions=(_last(source, record, diagnoses),),
            sites=(_last(source, record, special) or _last(source, record, sites) or record[sites[0]],),
            group=source.group_of(patient, lesion=lesion),
            lesion_id=lesion,
            others=kept(record, *KEPT, *SUBGROUPS),
            problem=OTHER_TYPE if unwanted else "",
            detail=image_type if unwanted else "",
        )
    source.noticed["rows_by_licence"] = dict(licences.most_common())
    source.noticed["rows_with_a_special_site"] = with_special


def _table(source: Source) -> Path:
    """The export: the one table with `isic_id` and a site or diagnosis, whatever its name."""
    if source.options["table"] is not None:
        return source.find(source.options["table"])
    paths = [source.root / name for name in source.files.matching("*.csv")]
    exports = [path for path in paths if _is_export(source.header(path))]
    distinct = list({sha256(path): path for path in reversed(exports)}.values())
    if len(distinct) > 1:
        names = ", ".join(sorted(str(path.relative_to(source.root)) for path in distinct))
        raise InputError(f"{source.root}: several exports there: {names}; name one of them (--table)")
    if distinct:
        return distinct[0]
    return paths[0] if len(paths) == 1 else source.find("metadata.csv")


def _is_export(header: Sequence[str]) -> bool:
    return "isic_id" in header and any(name.startswith((SITE, DIAGNOSIS)) for name in header)


def _columns(header: Sequence[str], levels: str, flat: str, asked: str, default: str) -> tuple[str, ...]:
    """The columns to read, the most specific last; those below level 1 only as far as the export has them."""
    if asked == "auto":
        asked = default if f"{levels}_1" in header else "flat"
    if asked == "flat":
        return (flat,)
    deepest = 5 if asked == "deepest" else int(asked)
    names = [f"{levels}_{level}" for level in range(1, deepest + 1)]
    return tuple(name for name in names if name == names[0] or name in header)


def _last(source: Source, record: Mapping[str, str], columns: Sequence[str]) -> str:
    """The most specific value that is known."""
    return next(filter(None, (source.known(record[name]) for name in reversed(columns))), "")


def _patients(source: Source, table: Path, header: Sequence[str]) -> dict[str, str]:
    """Lesion -> its patient, for rows that name the lesion and not the patient."""
    columns = ("patient_id", "lesion_id")
    if not set(columns) <= set(header):
        return {}
    records = (record for _, record in read_csv(table, columns, source.encoding))
    return {
        record["lesion_id"]: record["patient_id"]
        for record in records
        if all(source.known(record[name]) for name in columns)
    }


IMPORTER = Importer(
    name="isic-archive",
    title="ISIC Archive export",
    home_page="https://www.isic-archive.com",
    licence="by image: CC-0, CC-BY or CC-BY-NC (column copyright_license)",
    lesion_labels="single",
    group="patient_id, else lesion_id",
    read=read,
    subgroups=SUBGROUPS,
    options=(
        Option("--table", "the export's file name, where the folder has several", metavar="NAME"),
        Option(
            "--site-level",
            "the site of anatom_site_1 to this level, the last that the row has; flat: anatom_site_general; auto: 1, "
            "or flat where the export has no anatom_site_1",
            default="auto",
            choices=("auto", *LEVELS, "flat"),
        ),
        Option(
            "--diagnosis-level",
            "the diagnosis of diagnosis_1 to this level, the last that the row has; flat: the column diagnosis; auto: "
            "deepest, or flat where the export has no diagnosis_1",
            default="auto",
            choices=("auto", *LEVELS, "flat"),
        ),
        Option(
            "--special-site",
            "own: anatom_site_special is the site where a row has it; ignore: it is only kept as a column",
            default="ignore",
            choices=("ignore", "own"),
        ),
        Option(
            "--image-type",
            "take only images of this type, such as dermoscopic; may be repeated",
            many=True,
            metavar="NAME",
        ),
    ),
    overlap="The archive has the images of HAM10000, ISIC 2019 and ISIC 2020: never train on one and test on another.",
    notes=(
        "Site: the last value that the row has from anatom_site_1 to the level asked for (default 1, the root); in "
        "exports without these columns anatom_site_general. The two vocabularies are never mixed in one import.",
        "anatom_site_special is not a level of that tree: kept as a column, a site of its own with --special-site own.",
        "Diagnosis: the last value that the row has from diagnosis_1 to the level asked for (default: the most "
        "specific), so that a class and its subtype can stand side by side: merge them by refinement, or ask for a "
        "level. benign_malignant is not read.",
        "A row without patient_id takes the patient of its lesion where another row names it.",
    ),
)
