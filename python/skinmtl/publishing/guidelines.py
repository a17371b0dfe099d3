"""What a model card has of two lists of what a paper on such a net should report, and what is left to its author.

TRIPOD+AI: Collins and others 2024, "TRIPOD+AI statement", BMJ 385, e078378. CLAIM: Mongan, Moy and Kahn 2020,
"Checklist for Artificial Intelligence in Medical Imaging (CLAIM)", Radiology: Artificial Intelligence 2(2), e200029,
whose 2024 update numbers some items otherwise. What an item asks for is said in our own words.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from skinmtl.common.markdown import plain
from skinmtl.publishing.metrics_files import Metrics
from skinmtl.scores.calibration_file import Calibration
from skinmtl.scores.subgroup_figures import FEW

NONE = "-"
# what files cannot tell, (TRIPOD+AI, CLAIM, what is asked)
LEFT_TO_THE_AUTHOR = (
    ("1 to 4", "1 to 4", "title, abstract, what is known, whom it is meant for, aims"),
    ("5, 6, 20", "5 to 8, 10, 11, 33, 34", "where, when and of whom the photographs are, and who was left out"),
    ("8a to 8c", "14 to 18", "who gave the labels, by which standard, and how well they agree"),
    ("10", "19", "why there are as many images"),
    ("11, 13", "12, 13", "missing data, rare lesions, what was done to the names of patients"),
    ("12d, 12f, 23b, 24", NONE, "how far it differs between centres, and what was changed in it since"),
    (NONE, "26, 27, 30, 31, 37", "how this model was chosen; robustness, explanation, failures"),
    ("17, 18a to 18e, 19", "40 to 42", "ethics, funding, interests, protocol, registration, data, patients' part"),
    ("25, 27b, 27c", "39", "what it means, who is to use it and how, what comes next"),
)
FAIRNESS = ("14", NONE, "whether it serves some patients worse")
ELSEWHERE = ("16", "32", "images of another place, and how they differ")


class Item(NamedTuple):
    """Numbers of both lists, what is asked, and where the card has it, or what."""

    tripod: str
    claim: str
    asked: str
    here: str


def filled_items(
    n_trained: int | None,
    has_fold: bool,
    metrics: Sequence[Metrics],
    calibration: Calibration | None,
    knows_unlike: bool = False,
) -> list[Item]:
    """The items that the card has something of. `n_trained` images; None: not recorded. `knows_unlike`: the folder can
    tell photographs that are unlike the training images."""
    # first those of the net's own data set, whose counts and subgroups stand for it
    own = sorted((one for one in metrics if one.of_these_weights), key=lambda one: one.external)
    items = [
        Item("7, 9, 12b", "9", "how a photograph is prepared", "*How an image is prepared*"),
        Item("8a", NONE, "what is predicted", "*Labels*"),
    ]
    if n_trained is not None:
        tested = f", tested on {own[0].figures['n_images']}" if own else ""
        items.append(Item("21", NONE, "how many images", f"trained on {n_trained}{tested}; by label: *Labels*"))
    if has_fold:
        items.append(
            Item(
                "12a",
                "20, 21",
                "which images are in which part",
                "*Data*; a group is in one part, unless folds were by image",
            )
        )
    items.append(
        Item("12c, 22", "22, 24, 25", "the model and its training", "`deploy.prototxt`, `weights.caffemodel`; *Data*")
    )
    if own:
        sure = "intervals" if own[0].figures.get("bootstrap") else "no intervals"
        items.append(Item("12e, 23a", "28, 29, 35, 36", "how good it is, and how sure that is", f"*Metrics*, {sure}"))
        served = next(filter(None, map(by_subgroup, own)), "")
        if served:
            items.append(Item(*FAIRNESS, served))
        if own[-1].external:
            items.append(Item(*ELSEWHERE, "an external test: *Metrics*; how they differ is left to the author"))
    output = "probabilities, calibrated" if calibration else "probabilities, not calibrated"
    thresholds = next((one.figures["thresholds"] for one in own if one.figures.get("thresholds")), None)
    output += f"; thresholds by {plain(thresholds['rule'])}" if thresholds else "; no threshold"
    unlike = ", and names nothing in what is unlike the training images" if knows_unlike else ""
    return [
        *items,
        Item("12g, 15", NONE, "how it answers, and with what", f"*Use*; {output}"),
        Item("18f", "23", "software", "*What made it*; `model.json`"),
        Item("26", "38", "limits", "*Limits*"),
        Item("27a", NONE, "photographs that are no good", f"`predict.py` leaves out what cannot be read{unlike}"),
    ]


def open_items(filled: Sequence[Item]) -> list[tuple[str, str, str]]:
    """What is left to the author: (TRIPOD+AI, CLAIM, what is asked)."""
    asked = [item[:3] for item in filled]
    return [*LEFT_TO_THE_AUTHOR, *(item for item in (FAIRNESS, ELSEWHERE) if item not in asked)]


def by_subgroup(one: Metrics) -> str:
    """The mAP-class of each subgroup of the file, in words; "" where it has none, or is of another kind."""
    found = one.figures.get("subgroups")
    if not (isinstance(found, dict) and isinstance(found.get("values"), list)):
        return ""
    parts = [_of_value(record) for record in found["values"]]
    return f"mAP-class by {plain(found.get('column'))}: {', '.join(parts)}" if parts and all(parts) else ""


def _of_value(record: Any) -> str:
    means = record.get("means") if isinstance(record, dict) else None
    value = means.get("map_class", "") if isinstance(means, dict) else ""
    if not (value is None or type(value) in (int, float)) or type(record.get("n_images")) is not int:
        return ""
    told = NONE if value is None else f"{value:.3f}"
    few = ", few" if record["n_images"] < FEW else ""
    return f"{plain(record.get('value'))} {told} ({record['n_images']} images{few})"
