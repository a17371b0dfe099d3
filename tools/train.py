#!/usr/bin/env python3
"""Trains a net; the learning rate is divided by 10 when the validation error plateaus, or goes by another schedule.

--out is one run's folder: args.json, solver.prototxt, log.csv, curves.png, snapshots, best.caffemodel (of the test with
the lowest watched error so far) and, at the end, final.caffemodel (of the last iteration).
Stopped by Ctrl-C, SIGTERM or SIGHUP it leaves a snapshot; the same command with --resume goes on, also after a kill.
"""

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence

from arguments import add_engine_arguments, check_engine_arguments, engine_of, licence
from cli import above_zero, finite, new_parser, not_negative, positive, run, share
from skinmtl.training.phases import read_phases
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.rates import SCHEDULES
from skinmtl.training.training_run import DISPLAY, SEED, TEST_INTERVAL, Request, train
from skinmtl.training.validation import WATCHED

RULE = PlateauRule()


def divisor(text: str) -> float:
    """An argparse type: a number above 1."""
    value = finite(text)
    if value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 1")
    return value


def solver_seed(text: str) -> int:
    """An argparse type: what Caffe takes as a seed."""
    value = not_negative(text)
    if value >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not below 2147483648")
    return value


def number_or_all(text: str) -> Optional[int]:
    """An argparse type: a whole number from 1, or None for "all"."""
    return None if text == "all" else positive(text)


def several_paths(text: str) -> List[Path]:
    """An argparse type: paths with commas between, as `caffe train -weights` takes them."""
    return [Path(each) for each in text.split(",") if each]


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--solver", metavar="FILE", type=Path, required=True, help="hyper-parameters; its nets and policy are replaced"
    )
    parser.add_argument("--net", type=Path, required=True, metavar="NET", help="with train.prototxt and test.prototxt")
    parser.add_argument(
        "--weights", type=several_paths, default=[], metavar="W[,W2]", help="caffemodels to start from, by layer name"
    )
    parser.add_argument(
        "--weights-licence",
        type=licence,
        metavar="TEXT",
        help="under which the --weights may be used, for args.json and the model card (default: as fetch_weights.py "
        "wrote it beside them)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the last whole snapshot, or start")
    parser.add_argument(
        "--set-aside",
        action="store_true",
        help="with --resume: a run that was begun with other arguments is renamed to RUN.before-1 (-2, ...) first",
    )
    add_engine_arguments(parser, trains=True)
    parser.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help="with --engine torch: processes that read images ahead (default: as the net says, else one per core)",
    )
    parser.add_argument(
        "--change-engine",
        action="store_true",
        help="with --resume: go on although the run was begun with another --engine or --precision; the weights and "
        "the place in the data are kept, random crops and dropout are drawn otherwise",
    )
    parser.add_argument("--max-iter", type=positive, metavar="N", help="default: the solver's; may grow on --resume")
    parser.add_argument(
        "--base-lr", type=above_zero, metavar="RATE", help="first learning rate (default: the solver's)"
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=solver_seed,
        help=f"of all that is drawn (default: the solver's random_seed, or {SEED})",
    )
    parser.add_argument(
        "--test-interval", type=positive, metavar="N", help=f"iterations (default: the solver's, or {TEST_INTERVAL})"
    )
    parser.add_argument(
        "--snapshot-interval",
        type=positive,
        metavar="N",
        help="iterations (default: the solver's, or at every test); a test that is the best so far has its own",
    )
    parser.add_argument(
        "--display", type=positive, metavar="N", help=f"iterations per log row (default: the solver's, or {DISPLAY})"
    )
    parser.add_argument(
        "--keep-snapshots",
        type=number_or_all,
        default=2,
        metavar="N",
        help="only the newest N, or all (default %(default)s); best.caffemodel is kept in any case",
    )
    parser.add_argument(
        "--phases",
        type=Path,
        metavar="FILE",
        help="phases to train in, YAML or JSON: the layers that learn, base_lr and iterations of each; the rate is "
        "fixed in a phase unless a --plateau flag is given (default: three, heads first, of a net that finds boxes and "
        "masks on a published trunk; else none)",
    )
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        help="of the learning rate: plateau (default, the paper's), fixed (default in phases), cosine down to 0 at the "
        "last iteration or at each phase's, or the solver's own lr_policy",
    )
    parser.add_argument(
        "--warm-up",
        type=not_negative,
        default=0,
        metavar="N",
        help="iterations, in each phase, over which the rate first rises along a line (default: none, as the paper)",
    )
    watching = parser.add_argument_group("the plateau")
    watching.add_argument(
        "--watch",
        choices=sorted(WATCHED),
        help="on the validation set (default: error, the mean over the heads of 1 - mAP-image and 1 - top-1; of a net "
        "that finds boxes and masks loss, the sum of its losses, each times its weight); balanced_accuracy where the "
        "lesions are one choice",
    )
    watching.add_argument("--watch-test-fold", action="store_true", help="allow the test fold to be watched: the paper")
    watching.add_argument(
        "--plateau-factor",
        type=divisor,
        metavar="F",
        help=f"divides the rate (default {RULE.factor:g})",
    )
    watching.add_argument(
        "--plateau-window",
        type=positive,
        metavar="TESTS",
        help=f"whose mean error counts (default {RULE.window})",
    )
    watching.add_argument(
        "--plateau-threshold",
        type=share,
        metavar="SHARE",
        help=f"by which a mean must be below the best so far to be better (default {RULE.threshold})",
    )
    watching.add_argument(
        "--plateau-patience",
        type=positive,
        metavar="TESTS",
        help=f"in a row that are not better make a plateau (default {RULE.patience})",
    )
    watching.add_argument(
        "--plateau-minimum",
        type=above_zero,
        metavar="RATE",
        help=f"smallest learning rate: a plateau there ends training (default {RULE.minimum:g})",
    )
    expert = parser.add_argument_group("how it is done")
    expert.add_argument(
        "--resume-data",
        choices=("exact", "cycle"),
        default="exact",
        help="on --resume read again all that was read, for the same crops and mirrors as without the interruption "
        "(default), or less than one cycle through the data, with other crops",
    )
    expert.add_argument(
        "--rate-change",
        choices=("auto", "in-place", "restore"),
        default="auto",
        help="in memory, or by a snapshot that is restored with another solver (default: as this Caffe can)",
    )
    return parser


def parse_args(words: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args(words)
    if args.weights_licence and not args.weights:
        parser.error("--weights-licence goes with --weights")
    if args.set_aside and not args.resume:
        parser.error("--set-aside goes with --resume")
    if args.change_engine and not args.resume:
        parser.error("--change-engine goes with --resume")
    if args.workers is not None and args.engine != "torch":
        parser.error("--workers goes with --engine torch; Caffe's layers have their own")
    if args.phases is not None and (args.max_iter is not None or args.base_lr is not None):
        parser.error("--max-iter and --base-lr go without --phases, whose file says them for each phase")
    if args.schedule not in (None, "plateau") and plateau_of(args):
        parser.error(f"--schedule {args.schedule} has no plateaus; leave the --plateau flags out")
    if args.rate_change == "restore" and (args.warm_up or args.schedule in ("cosine", "solver")):
        parser.error(
            "--rate-change restore is of plateaus: by --schedule and --warm-up the rate changes each iteration"
        )
    check_engine_arguments(parser, args)
    return args


def plateau_of(args: argparse.Namespace) -> Optional[PlateauRule]:
    """The rule that the flags make; None where none is given."""
    names = ("factor", "window", "threshold", "patience", "minimum")
    given = {name: getattr(args, f"plateau_{name}") for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(RULE, **given) if given else None


def main() -> int:
    args = parse_args()
    request = Request(
        solver=args.solver,
        net=args.net,
        weights=args.weights,
        out=args.out,
        resume=args.resume,
        set_aside=args.set_aside,
        change_engine=args.change_engine,
        engine=engine_of(args),
        workers=args.workers,
        max_iter=args.max_iter,
        base_lr=args.base_lr,
        seed=args.seed,
        test_interval=args.test_interval,
        snapshot_interval=args.snapshot_interval,
        display=args.display,
        keep_snapshots=args.keep_snapshots,
        plateau=plateau_of(args),
        watch=args.watch,
        watch_test_fold=args.watch_test_fold,
        rate_change=args.rate_change,
        resume_data=args.resume_data,
        phases=None if args.phases is None else read_phases(args.phases),
        schedule=args.schedule,
        warm_up=args.warm_up,
        weights_licence=args.weights_licence,
    )
    outcome = train(request, vars(args))
    if outcome.signal:
        name = signal.Signals(outcome.signal).name
        print(
            f"train.py: stopped by {name} at iteration {outcome.iteration}; the same command with --resume goes on",
            file=sys.stderr,
        )
        return 128 + outcome.signal
    print(f"{args.out}: {outcome.iteration} iterations; {outcome.reason}")
    return 0


if __name__ == "__main__":
    run(main)
