#!/usr/bin/env python3
"""Turns saved scores into the papers' figures: mAPs and top-1 of labels; of a net with masks, class, mask and box.

examples: tools/evaluate.py runs/mtl/scores.npz --json runs/mtl/metrics.json
          tools/evaluate.py runs/mask/scores.npz --positive melanoma --bootstrap 10000

AP has no interpolation. Tied scores share one threshold, as in scikit-learn; a tie of the true location counts against
the model, as in Caffe. A lesion with no positive is left out of mAP-class, an image with no lesion out of mAP-image;
all of these are counted in the output. "without looking" is what a model gets that sees no image: a random order for
mAP-class, the most frequent lesions first for mAP-image, the most frequent locations for top-1 and top-3.

Where each image has one lesion: also accuracy, balanced accuracy (the mean over the lesions of the share of its images
that is answered rightly: ISIC 2018 and 2019), and which lesion is taken for which.

Of a net that draws the lesion: AC, AP, AUC, SE, SP of one class against the rest and SP at fixed SE; JA, DI, AC, SE, SP
of each image's mask in its original size, averaged over the images; box AP at IoU 0.5 and 0.75. All as in the ISIC
challenges' scorer, where that has them; docs/evaluation.md has the definitions.

Of each lesion and location against the rest: AP, AUROC, the part of it above a sensitivity of 0.8 (ISIC 2024), Brier
score and expected calibration error (ECE), beside what they are by chance. --threshold-rule or --thresholds-from adds
sensitivity, specificity and predictive values at thresholds, which are to be chosen on the validation images:

          tools/evaluate.py test.npz --thresholds-from validation.npz --threshold-rule sensitivity=0.95

A net of one data set tested on another, whose lesions have other names (an external test): --label-map says which are
which, and --internal sets the figures of the net's own test images beside; docs/evaluation.md has what is left out.

          tools/evaluate.py external.npz --label-map map.csv --internal test.npz --bootstrap 10000

--bootstrap adds intervals: how far the figures would move with other patients. Groups of images are drawn with
replacement; a lesion that has no positive in a resample has no AP there and leaves that mAP-class, as above. "too few":
fewer than ten groups with or without it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from arguments import manifest_of
from caffe_files.errors import InputError
from caffe_files.outputs import all_or_none, new_file
from cli import new_parser, program, run
from evaluation_arguments import (
    OnceAction,
    add_external_arguments,
    add_interval_arguments,
    add_threshold_arguments,
    is_external,
    settle_evaluation_arguments,
)
from parsing import renamed
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import Manifest, read_manifest
from skinmtl.data.seen import is_known, marks, n_trained
from skinmtl.data.subgroups import subgroups_of
from skinmtl.scores.called import Rule
from skinmtl.scores.chosen_thresholds import own_images
from skinmtl.scores.decision_table import write_decision_csv
from skinmtl.scores.evaluating import Plan, Resampling, evaluated
from skinmtl.scores.evaluation_table import evaluation_table
from skinmtl.scores.external_tables import external_lines, facts, markdown
from skinmtl.scores.external_test import external_test, tested
from skinmtl.scores.figures_csv import write_figures_csv
from skinmtl.scores.label_figures import MEANS, OF_HEAD
from skinmtl.scores.one_lesion import FIGURES as ONE_LESION
from skinmtl.scores.pairing import groups_of, heads_of
from skinmtl.scores.region_metrics import REGION_FIGURES, usual_positive
from skinmtl.scores.region_tables import region_table
from skinmtl.scores.scores_file import Scores, read_scores

NOT_SHOWN = 3  # the exit status where no figure is too low, and nothing shows that the images are new; as leakage.py's
FIGURES = (
    *("map_class", "map_image", *ONE_LESION, "location_top1", "location_top3", *MEANS.values()),
    *REGION_FIGURES,
)


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("scores", type=Path, metavar="S.npz", help="a scores file of tools/score.py")
    parser.add_output_argument(
        "--json",
        help="also write every figure as JSON, with the protocol and the sha256 of the scores (default: screen only; "
        "example: --json metrics.json)",
    )
    parser.add_output_argument(
        "--csv", help="also write every figure on a line of its own, with its interval, chance and protocol"
    )
    parser.add_output_argument(
        "--reliability",
        help="also draw the reliability diagram of each label, .png or .svg (example: --reliability reliability.svg)",
    )
    parser.add_output_argument(
        "--net-benefit",
        help="also write the net benefit of calling each lesion from a probability of 1 to 99 %% on, beside that of "
        "calling all images and none; with --bootstrap, its intervals too (example: --net-benefit net_benefit.csv)",
    )
    parser.add_output_argument(
        "--decision-curves",
        help="also draw it for each lesion, .png or .svg (example: --decision-curves decision.svg)",
    )
    parser.add_argument(
        "--fail-if-below",
        type=floor,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="exit with status 1 where a figure is below VALUE or missing, or of images that were trained on, with 3 "
        "where none is but nothing records what was trained on; NAME is "
        f"one of {', '.join(FIGURES)}, VALUE in [0, 1]; may repeat (default: no check; example: --fail-if-below "
        "map_class=0.6)",
    )
    parser.add_argument(
        "--positive",
        action=OnceAction,
        metavar="NAME",
        help="the class that AC, AP, AUC, SE and SP are of, against the rest (default: malignant or melanoma if a "
        "class has that name, else each class in turn and the mean of them)",
    )
    renamed(parser, "--at-least", "--fail-if-below")
    add_threshold_arguments(parser)
    add_interval_arguments(parser)
    add_external_arguments(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    arguments = parser.parse_args()
    settle_evaluation_arguments(parser, arguments)
    for flag, path in (("--reliability", arguments.reliability), ("--decision-curves", arguments.decision_curves)):
        if path is not None and path.suffix not in (".png", ".svg"):
            parser.error(f"{flag} {path}: must end in .png or .svg")
    return arguments


def floor(text: str) -> tuple[str, float]:
    """NAME=VALUE as (name, value)."""
    name, equals, number = text.partition("=")
    if not equals or name not in FIGURES:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE with NAME one of {', '.join(FIGURES)}")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not a number in [0, 1]")
    return name, value


def too_low(figures: dict[str, Any], floors: list[tuple[str, float]]) -> list[str]:
    """One phrase for each figure that is missing or below its floor."""
    return [
        f"{name} is missing" if figures.get(name) is None else f"{name} is {figures[name]:.6g}, below {value:g}"
        for name, value in floors
        if figures.get(name) is None or figures[name] < value
    ]


def groups_to_draw(path: Path, scores: Scores, manifest: Manifest | None) -> list[str]:
    """Each image's group in the manifest, or without one its name."""
    groups = scores.image if manifest is None else groups_of(str(path), scores, manifest)
    if len(set(groups)) == 1:
        where = path if manifest is None else manifest.path
        raise InputError(f"{where}: all images are one group; an interval needs two or more to draw from")
    return groups


def positive_class(arguments: argparse.Namespace, scores: Scores) -> str | None:
    """The positive class of scores with regions; None where each class is held against the rest."""
    names = scores.class_names
    if arguments.positive is None:
        return usual_positive(names or [])
    if names is None:
        raise InputError(f"{arguments.scores}: has no class of a lesion for --positive; leave the flag out")
    if arguments.positive not in names:
        known = ", ".join(names)
        raise InputError(f"{arguments.scores}: no class {arguments.positive!r} for --positive; it has {known}")
    return arguments.positive


def plan_of(arguments: argparse.Namespace, scores: Scores) -> Plan:
    """What is asked for beside the figures. InputError where the scores have no labels for it."""
    rule, source, calibration = arguments.threshold_rule, arguments.thresholds_from, arguments.calibration
    if (rule or calibration or arguments.subgroup_column) and not heads_of(scores):
        raise InputError(
            f"{arguments.scores}: thresholds, a calibration and subgroups need scores of labels; this file has boxes "
            "and masks alone; leave the flags out"
        )
    so = "where patients have several images, the intervals are too narrow" if arguments.bootstrap else ""
    manifest = manifest_of(arguments, so) if arguments.manifest else None
    resampling = subgroups = None
    if arguments.bootstrap:
        groups = groups_to_draw(arguments.scores, scores, manifest)
        resampling = Resampling(groups, arguments.bootstrap, arguments.seed, arguments.level)
    if arguments.subgroup_column is not None and manifest is not None:
        groups_of(str(arguments.scores), scores, manifest)  # all images must be in it
        subgroups = subgroups_of(manifest, arguments.subgroup_column, scores.image)
    curves = arguments.net_benefit is not None or arguments.decision_curves is not None
    return Plan(resampling, Rule.of(rule) if rule else None, source, calibration, subgroups, curves)


def figures_of_external_test(arguments: argparse.Namespace) -> tuple[Scores, dict[str, Any]]:
    """The external scores of the common lesions, and what `external_test.tested` has of them."""
    test = external_test(arguments.scores, arguments.label_map, arguments.internal)
    scores = test.external.kept.scores
    plan = plan_of(arguments, scores)
    own_plan = plan._replace(subgroups=None, decision_curves=False)
    if test.internal is not None and plan.resampling is not None:
        manifest = None if arguments.internal_manifest is None else read_manifest(arguments.internal_manifest)
        groups = groups_to_draw(arguments.internal, test.internal.kept.scores, manifest)
        seed = (arguments.seed + 1) % 2**32  # the sets are independent, and so are their resamples
        own_plan = own_plan._replace(resampling=plan.resampling._replace(groups=groups, seed=seed))
    return scores, tested(test, plan, own_plan)


def write_files(arguments: argparse.Namespace, scores: Scores, figures: dict[str, Any], seen: list[str]) -> None:
    """What is asked for: the JSON, the CSVs, the tests side by side and the pictures; all of them or none."""
    source = {"seen": seen, "scores_sha256": sha256(arguments.scores), "protocol": scores.protocol}
    for name in ("manifest", "internal_manifest"):
        if getattr(arguments, name) is not None:
            source[f"{name}_sha256"] = sha256(getattr(arguments, name))
    report = {**figures, **source}
    with all_or_none():
        if arguments.json is not None:
            with new_file(arguments.json) as partial:
                write_json(partial, {**report, "made_by": made_by(vars(arguments))}, allow_nan=False)
        if arguments.csv is not None:
            with new_file(arguments.csv) as partial:
                write_figures_csv(partial, report)
        if arguments.side_by_side is not None:
            with new_file(arguments.side_by_side) as partial:
                partial.write_text(markdown(report, facts(report, arguments.scores)), encoding="utf-8")
        if arguments.net_benefit is not None:
            with new_file(arguments.net_benefit) as partial:
                write_decision_csv(partial, report)
        pictures = ((arguments.reliability, drawn_reliability), (arguments.decision_curves, drawn_curves))
        for path, draw in pictures:
            if path is not None:
                from skinmtl.figures.style import save_figure

                save_figure(draw(arguments, figures), path)


def drawn_reliability(arguments: argparse.Namespace, figures: dict[str, Any]) -> Any:
    """A matplotlib figure: the diagrams of all labels, lesions first."""
    from skinmtl.figures.reliability_panels import reliability_figure  # matplotlib takes a second to import

    labels = [pair for key in OF_HEAD.values() for pair in (figures.get(key) or {}).items()]
    if not any(of_label["reliability"] for _, of_label in labels):
        raise InputError(f"{arguments.scores}: has no probabilities to draw; leave --reliability out")
    how = f"{arguments.scores.name}, {figures['n_images']} images; in brackets the images with the label"
    return reliability_figure(labels, how)


def drawn_curves(arguments: argparse.Namespace, figures: dict[str, Any]) -> Any:
    """A matplotlib figure: the decision curves of all lesions that have one."""
    from skinmtl.figures.decision_curves import evaluated_curves_figure

    if not any(figures["decision_curves"]["of_lesions"].values()):
        raise InputError(
            f"{arguments.scores}: no lesion has an image and lacks one too, so that there is no decision curve; leave "
            "--decision-curves out"
        )
    return evaluated_curves_figure(figures, arguments.scores.name)


def main() -> int:
    arguments = parse_args()
    if is_external(arguments):
        scores, figures = figures_of_external_test(arguments)
    else:
        scores = read_scores(arguments.scores)
        figures = evaluated(arguments.scores, scores, positive_class(arguments, scores), plan_of(arguments, scores))
    seen = marks(scores.protocol)
    write_files(arguments, scores, figures, seen)
    tables = [evaluation_table(figures)] if heads_of(scores) else []
    if scores.has_regions:
        tables.append(region_table(figures, resampled=not tables))
    if is_external(arguments):
        tables.append("\n".join(external_lines(figures)))
    print("\n".join(["\n\n".join(tables), *(f"note: {mark}" for mark in (*seen, *own_images(figures)))]))
    failures = too_low(figures, arguments.fail_if_below)
    if arguments.fail_if_below and n_trained(scores.protocol):
        failures.append("the figures are of images that were trained on")
    if failures:
        raise InputError(f"{arguments.scores}: {'; '.join(failures)}")
    if arguments.fail_if_below and not is_known(scores.protocol):
        print(
            f"{program()}: {arguments.scores}: no figure is below its limit, but nothing records what was trained on, "
            "so nothing shows that these images are new to the net; score them with --run, or with --trained-on",
            file=sys.stderr,
        )
        return NOT_SHOWN
    return 0


if __name__ == "__main__":
    run(main)
