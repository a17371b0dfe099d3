"""SCIN: photographs from volunteers, one to three a case, with weighted condition labels of a case.

`scin_cases.csv` and `scin_labels.csv` are joined on `case_id` as text: the ids are signed 64-bit numbers, which a
reader that takes them for numbers rounds. `image_1_path` to `image_3_path` name the images (`dataset/images/-1.png`).
`body_parts_...` are YES or empty, and several can be YES. `weighted_skin_condition_label` is a dict literal, condition
to weight; the weights of a case sum to 1. (Columns: the owner's dataset_schema.md and demo notebook.)

15 images are in several cases (42 rows, by the owner's README): a row that repeats an image is dropped as a duplicate,
and its case becomes one group with the first.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Iterator

from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import kept, labels_set
from skinmtl.importers.source import Source

IMAGES = ("image_1_path", "image_2_path", "image_3_path")
SHOT_TYPES = ("image_1_shot_type", "image_2_shot_type", "image_3_shot_type")
SITES = (
    *("head_or_neck", "arm", "palm", "back_of_hand", "torso_front", "torso_back", "genitalia_or_groin", "buttocks"),
    *("leg", "foot_top_or_side", "foot_sole", "other"),
)
SITE_COLUMNS = {f"body_parts_{site}": site for site in SITES}
TEXTURES = {f"textures_{texture}": texture for texture in ("raised_or_bumpy", "flat", "rough_or_flaky", "fluid_filled")}
SUBGROUPS = {"fitzpatrick_skin_type": "Fitzpatrick skin type", "sex_at_birth": "sex", "age_group": "age"}
NOT_TOLD = frozenset({"AGE_UNKNOWN", "NONE_SELECTED", "NONE_IDENTIFIED"})  # the set's own words for no value there
WEIGHTED = "weighted_skin_condition_label"

MINIMUM_WEIGHT = 0.3  # our choice: three dermatologists who name one condition each, all different, give each 1/3
LONGEST = 20_000  # characters of a label that are parsed
TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
FLAT_DICT = re.compile(rf"\{{\s*(?:{TEXT}\s*:\s*{NUMBER}\s*(?:,\s*|(?=\}})))*\}}")


def read(source: Source) -> Iterator[Found]:
    cases_table = source.find("scin_cases.csv", "*scin_cases.csv")
    labels_table = source.find("scin_labels.csv", "*scin_labels.csv")
    weighted, lines = _weighted_labels(source, labels_table)
    textures = source.options["labels"] == "textures"
    columns = ("case_id", *IMAGES, *SITE_COLUMNS, *(TEXTURES if textures else ()))
    for line, record in source.read(cases_table, columns):
        case = record["case_id"]
        if case:  # an empty id is nobody's
            lines.pop(case, None)
        sites, wrong = labels_set(record, SITE_COLUMNS)
        if textures and not wrong:
            lesions, wrong = labels_set(record, TEXTURES)
            problem, detail = "", ""
        else:
            lesions, problem, detail = _conditions(weighted.get(case, ""), source.options["minimum_weight"])
        if wrong:
            problem, detail = "neither YES nor empty", wrong
        shots = [(record[image], record.get(shot, "")) for image, shot in zip(IMAGES, SHOT_TYPES) if record[image]]
        for image, shot in shots or [("", "")]:
            yield Found(
                file=cases_table,
                line=line,
                image=image,
                lesions=lesions,
                sites=sites,
                group=source.group_of(case),
                others={
                    "shot_type": shot,
                    **{name: "" if text in NOT_TOLD else text for name, text in kept(record, *SUBGROUPS).items()},
                    "weights": weighted.get(case) or "",
                },
                problem=problem,
                detail=detail,
            )
    for case, of_case in lines.items():
        for line in of_case:
            yield Found(labels_table, line, "", (), (), problem="label of no case", detail=case)


def _weighted_labels(source: Source, table: Path) -> tuple[dict[str, str | None], dict[str, list[int]]]:
    """(case -> its label as it stands, None where two rows of the case differ; case -> lines)."""
    weighted: dict[str, str | None] = {}
    lines: dict[str, list[int]] = {}
    for line, record in source.read(table, ("case_id", WEIGHTED)):
        case, text = record["case_id"], record[WEIGHTED]
        lines.setdefault(case, []).append(line)
        weighted[case] = text if weighted.get(case, text) == text else None
    weighted.pop("", None)
    return weighted, lines


def _conditions(text: str | None, minimum: float) -> tuple[tuple[str, ...], str, str]:
    """(conditions of at least the weight, problem, detail) of one cell; None stands for rows that contradict."""
    if text is None:
        return (), "label rows that contradict", ""
    if not text:
        return (), "", ""
    weights = _weights(text)
    if weights is None:
        return (), "unreadable label", text[:200]
    chosen = tuple(name for name, weight in weights.items() if weight >= minimum)
    if weights and not chosen:
        return (), "no condition of the minimum weight", text[:200]
    return chosen, "", ""


def _weights(text: str) -> dict[str, float] | None:
    """The dict of a label, or None. Only a flat dict gets as far as literal_eval, which deep nesting could crash."""
    if len(text) > LONGEST or not FLAT_DICT.fullmatch(text):
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # such as an escape that means nothing
        return None


def weight(text: str) -> float:
    """A weight from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


IMPORTER = Importer(
    name="scin",
    title="SCIN (Skin Condition Image Network)",
    home_page="https://github.com/google-research-datasets/scin",
    licence="SCIN Data Use License",
    lesion_labels="multi",
    group="case_id",
    read=read,
    ending=".png",
    subgroups=SUBGROUPS,
    options=(
        Option(
            "--labels",
            "what the lesion labels are: the dermatologists' conditions, or the textures that the volunteer named",
            default="conditions",
            choices=("conditions", "textures"),
        ),
        Option(
            "--minimum-weight",
            "conditions of at least this weight are labels of the case",
            kind=weight,
            default=MINIMUM_WEIGHT,
            metavar="WEIGHT",
        ),
    ),
    notes=(
        "A condition is a label where its weight is at least --minimum-weight. All images of a case have its labels.",
        "Skin type, sex and age are as the volunteer told them.",
        "`other` is a site as the rest; a site map with an empty `to` leaves it out.",
        "A case that names no image counts as one row, and so does a label row of no case.",
    ),
)
