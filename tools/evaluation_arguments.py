"""The flags of evaluate.py for thresholds, calibration, intervals and subgroups, and which of them go together."""

import argparse
from pathlib import Path
from typing import Any

from arguments import add_group_column_argument
from cli import finite, positive, seed
from parsing import Parser
from skinmtl.scores.called import Rule

OF_BOOTSTRAP = {"seed": 1, "level": 0.95}  # flags that go with --bootstrap, and their defaults
USUAL_RULE = "sensitivity=0.89"  # our choice: the middle one of the three that ISIC 2017 reads specificity at


class OnceAction(argparse.Action):
    """Stores a value; refuses a second one, which the first would be lost to, where a person may mean both."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, f"takes one {self.metavar}; run the command again for {values!r}")
        setattr(namespace, self.dest, values)


def add_threshold_arguments(parser: argparse.ArgumentParser) -> None:
    """What is chosen on other scores than those that are measured."""
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="of calibrate.py: take the calibrated probabilities, here and of --thresholds-from, and tell Brier score "
        "and ECE without it too",
    )
    parser.add_argument(
        "--thresholds-from",
        type=Path,
        metavar="FILE",
        help="scores of the validation images by the same net, to choose a threshold for each label on",
    )
    parser.add_argument(
        "--threshold-rule",
        type=rule,
        metavar="RULE",
        help="how a threshold is chosen: sensitivity=S, the highest one with a sensitivity of S or more; youden; or f1 "
        f"(default: {USUAL_RULE}). Without --thresholds-from they are chosen on the tested images, which is said",
    )


def add_interval_arguments(parser: argparse.ArgumentParser) -> None:
    """What is drawn anew, and what is measured apart."""
    parser.add_argument(
        "--bootstrap",
        type=positive,
        metavar="N",
        help="also give an interval for every figure, from N resamples (default: none; example: --bootstrap 10000)",
    )
    parser.add_argument("--seed", type=seed, metavar="S", help="of the resamples (default: 1)")
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="CSV",
        help="the manifest whose group column says which images are drawn together (default: each image by itself), "
        "and that has --subgroup-column",
    )
    add_group_column_argument(parser)
    parser.add_argument(
        "--subgroup-column",
        action=OnceAction,
        metavar="NAME",
        help="a column of --manifest, such as skin type, sex, age or device: also give the figures of each label for "
        "each of its values, and how far they are from those of all other images",
    )
    parser.add_argument(
        "--level", type=level, metavar="SHARE", help="of the resamples, inside the interval (default: 0.95)"
    )


def add_external_arguments(parser: Parser) -> None:
    """A net of one data set, tested on another."""
    group = parser.add_argument_group("an external test")
    group.add_argument(
        "--label-map",
        type=Path,
        metavar="CSV",
        help="of scores of another data set (score.py --external): a CSV data,model, a lesion of the data and the "
        "net's lesion that it is on each line; the figures are of those lesions alone",
    )
    group.add_argument(
        "--internal",
        type=Path,
        metavar="S.npz",
        help="scores of the same net on the test images of its own data set: also show both tests side by side",
    )
    group.add_argument(
        "--internal-manifest",
        type=Path,
        metavar="CSV",
        help="the manifest of --internal, whose column group says which images are drawn together (default: each image "
        "by itself)",
    )
    parser.add_output_argument("--side-by-side", help="also write both tests side by side, as Markdown")


def settle_evaluation_arguments(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fills in what goes without saying. Ends the program where flags do not go together."""
    for name, default in OF_BOOTSTRAP.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default if arguments.bootstrap else None)
        elif not arguments.bootstrap:
            parser.error(f"--{name.replace('_', '-')} goes with --bootstrap N")
    for name in ("group_column", "subgroup_column"):
        if getattr(arguments, name) is not None and arguments.manifest is None:
            parser.error(f"--{name.replace('_', '-')} goes with --manifest")
    if arguments.manifest is not None and not (arguments.bootstrap or arguments.subgroup_column):
        parser.error("--manifest goes with --bootstrap N or --subgroup-column NAME")
    for name, other in (("internal_manifest", "internal"), ("side_by_side", "internal")):
        if getattr(arguments, name) is not None and getattr(arguments, other) is None:
            parser.error(f"--{name.replace('_', '-')} goes with --{other}")
    if arguments.internal_manifest is not None and not arguments.bootstrap:
        parser.error("--internal-manifest goes with --bootstrap N")
    if is_external(arguments) and arguments.threshold_rule is not None and arguments.thresholds_from is None:
        parser.error(
            "--threshold-rule: an external test takes the thresholds of the net's own validation images; give these "
            "with --thresholds-from"
        )
    if is_external(arguments) and arguments.positive is not None:
        parser.error("--positive is of nets that draw lesions, which have no external test")
    if arguments.thresholds_from is not None and arguments.threshold_rule is None:
        arguments.threshold_rule = USUAL_RULE


def is_external(arguments: argparse.Namespace) -> bool:
    """Whether an external test is asked for."""
    return arguments.label_map is not None or arguments.internal is not None


def level(text: str) -> float:
    """A share between 0 and 1, neither of them."""
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def rule(text: str) -> str:
    """An argparse type: what `called.Rule` reads."""
    try:
        return str(Rule.of(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
