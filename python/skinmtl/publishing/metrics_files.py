"""The metrics that evaluate.py wrote as JSON, read for a model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.common.provenance import sha256
from skinmtl.data.seen import marks, n_trained
from skinmtl.scores.called import CALLED
from skinmtl.scores.chosen_thresholds import own_images
from skinmtl.scores.label_figures import OF_HEAD, PROBABILITY, RANKING

REMEDY = "give a file of evaluate.py --json"
FIGURES = {
    "map_class": "mAP-class",
    "map_image": "mAP-image",
    "location_top1": "location top-1",
    "location_top3": "location top-3",
}
OF_REGIONS = {
    "class_ac": "AC",
    "class_ap": "AP",
    "class_auc": "AUC",
    "class_se": "SE",
    "class_sp": "SP",
    "mask_ja": "mask JA",
    "mask_di": "mask DI",
    "box_ap50": "box AP at IoU 0.5",
    "detected": "detected",
}  # of nets that draw lesions
OF_LABEL = (*RANKING, *PROBABILITY, *CALLED)


@dataclass(frozen=True)
class Metrics:
    """The figures of one file, and whether they are of the weights that are published."""

    path: Path
    figures: dict[str, Any]
    of_these_weights: bool

    @property
    def protocol(self) -> dict[str, Any]:
        """How the scores were made; nothing where an ensemble's were."""
        return self.figures.get("protocol") or {}

    @property
    def external(self) -> bool:
        """Whether the figures are of another data set, and of the lesions alone that it knows too."""
        return bool(self.figures.get("external_test"))

    @property
    def subset(self) -> str:
        """Which images, in words."""
        if "ensemble" in self.protocol:
            return "an ensemble"
        made = self.protocol.get("arguments") or {}
        if self.external:
            return f"an external test, of {', '.join(self.figures['average_precision'] or ())} alone"
        if made.get("subset") and made.get("fold") is not None:
            return f"fold {made['fold']}, {made['subset']}"
        return "the whole manifest" if made.get("manifest") else "not recorded"

    @property
    def marks(self) -> list[str]:
        """What a reader must know of the images that were tested; see `data.seen.marks`."""
        return marks(self.protocol)

    @property
    def says_too_few(self) -> bool:
        """Whether a figure without an interval had too little to draw from; older files have one whatever there is."""
        return "fewest" in (self.figures.get("bootstrap") or {})

    @property
    def calibrated(self) -> list[str]:
        """Whether the figures are of calibrated probabilities."""
        return ["calibrated probabilities"] if self.figures.get("calibration") else []

    def interval(self, figure: str) -> Any:
        """[low, high], where there are intervals; of `average_precision` and of labels by name."""
        return (self.figures.get("intervals") or {}).get(figure)


def read_metrics(paths: Sequence[Path], weights: Path, allow_trained: bool = False) -> list[Metrics]:
    """InputError where a file is not one of `evaluate.py --json`, where its thresholds or its calibration were chosen
    on the images that they are tested on, and, unless that is allowed, where these were trained on."""
    of_weights = sha256(weights) if paths else ""
    found = []
    for path in paths:
        figures = read_json(path, REMEDY)
        if not _is_whole(figures):
            raise InputError(f"{path}: not metrics; {REMEDY}")
        protocol = figures["protocol"] or {}
        if n_trained(protocol) and not allow_trained:
            raise InputError(
                f"{path}: {'; '.join(marks(protocol))}: give the metrics of images that were left out of the "
                "training, or --allow-trained, which the card then notes beside them"
            )
        own = own_images(figures)
        if own:
            raise InputError(
                f"{path}: {'; '.join(own)}: choose them on scores of validation images, or do without them"
            )
        found.append(Metrics(path, figures, protocol.get("weights_sha256") == of_weights))
    return found


def setting_of(metrics: Sequence[Metrics], setting: str) -> Any:
    """What the published weights were tested with: the first file's, None without one. InputError where two differ."""
    value = None
    for one in metrics:
        if one.of_these_weights:
            other = one.protocol.get(setting)
            if value is not None and other != value:
                raise InputError(f"{one.path}: its {setting} is {other}, elsewhere {value}; give those of one test")
            value = other
    return value


def _is_whole(figures: dict[str, Any]) -> bool:
    """Whether all that a card shows is there, and of the right kind."""
    if not {"n_images", "protocol", "average_precision", "support", *FIGURES} <= set(figures):
        return False
    protocol = figures["protocol"]
    if protocol is not None and not (
        isinstance(protocol, dict) and isinstance(protocol.get("arguments"), (dict, type(None)))
    ):
        return False
    of_lesions, support = figures["average_precision"], figures["support"]
    values = [figures["n_images"], *(figures.get(figure) for figure in (*FIGURES, *OF_REGIONS))]
    if of_lesions is not None:
        if not (isinstance(of_lesions, dict) and isinstance(support, dict) and set(of_lesions) <= set(support)):
            return False
        values += [*of_lesions.values(), *(support[name] for name in of_lesions)]
    intervals, made = figures.get("intervals"), figures.get("bootstrap")
    if intervals is not None:
        if not (isinstance(intervals, dict) and isinstance(made, dict)):
            return False
        values += [made.get(name, "missing") for name in ("level", "resamples", "n_groups")]
        by_lesion = intervals.get("average_precision") or {}
        if not isinstance(by_lesion, dict):
            return False
        for ends in (*(intervals.get(figure) for figure in (*FIGURES, *OF_REGIONS)), *by_lesion.values()):
            if ends is not None and not (isinstance(ends, list) and len(ends) == 2):
                return False
            values += ends or []
    of_labels = _of_labels(figures)
    return of_labels is not None and all(value is None or type(value) in (int, float) for value in values + of_labels)


def _of_labels(figures: dict[str, Any]) -> list[Any] | None:
    """The numbers of each label that a card shows; None where they, or what is said of thresholds and calibration, are
    not of the right kind."""
    thresholds, calibration = (figures.get(name) or {} for name in ("thresholds", "calibration"))
    if not (isinstance(thresholds, dict) and isinstance(calibration, dict)):
        return None
    kinds = {"rule": str, "chosen_on": str, "n_images": int}
    if thresholds and not all(type(thresholds.get(name)) is kind for name, kind in kinds.items()):
        return None
    values = [*(figures.get(f"chance_{name}") for name in FIGURES)]
    for key in OF_HEAD.values():
        by_label, ends = figures.get(key) or {}, (figures.get("intervals") or {}).get(key) or {}
        for each in (by_label, ends):
            if not (isinstance(each, dict) and all(isinstance(of_label, dict) for of_label in each.values())):
                return None
        for name, of_label in by_label.items():
            if not {"n_positive", "prevalence"} <= {each for each, value in of_label.items() if value is not None}:
                return None
            values += [of_label.get(each) for each in ("n_positive", "prevalence", "threshold", *OF_LABEL)]
            for pair in (ends.get(name, {}).get(each) for each in OF_LABEL):
                if pair is not None and not (isinstance(pair, list) and len(pair) == 2 and None not in pair):
                    return None
                values += pair or []
    return values
