"""Groups of flags that several tools share, and what goes together in them."""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Optional

from cli import finite, not_negative, positive, program, share, usable_cores
from skinmtl.data.manifest import Manifest, read_manifest
from skinmtl.engines.engine import FORWARD_NAMES, NAMES, PRECISIONS, Engine, slow, unusable
from skinmtl.splits.group_notes import notes_on_groups

CROPS_AT_ONCE = 10


def licence(text: str) -> str:
    """An argparse type: a licence's name, in a line."""
    if not (text.strip() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a licence")
    return text


def add_manifest_argument(parser: argparse.ArgumentParser) -> argparse.Action:
    """--manifest and --group-column, for tools that read it without the images."""
    action = parser.add_argument(
        "--manifest", type=Path, required=True, metavar="CSV", help="the CSV: image,lesions,location and group"
    )
    add_group_column_argument(parser)
    return action


def add_group_column_argument(parser: argparse.ArgumentParser) -> None:
    """--group-column, for tools that take a manifest by a flag of their own."""
    parser.add_argument(
        "--group-column",
        metavar="NAME",
        help="the manifest's column that says which images are of one patient (default: group, if there is one; "
        "image: every image is of another patient)",
    )


def manifest_of(args: argparse.Namespace, without_groups: str = "") -> Manifest:
    """The manifest that is asked for, whole; how it was read is told on stderr where that is not as it is written.

    So is what its groups leave open, for a tool that needs them: `without_groups` says what follows.
    """
    manifest = read_manifest(args.manifest, args.group_column)
    for note in (*manifest.notes, *(notes_on_groups(manifest, without_groups) if without_groups else ())):
        print(f"{program()}: note: {note}", file=sys.stderr)
    return manifest


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """--manifest and --images."""
    add_manifest_argument(parser)
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="the folder that the manifest's images are in"
    )


def add_masks_argument(parser: argparse._ActionsContainer) -> None:
    """--masks, for tools that read the masks of a manifest."""
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="the folder that the manifest's masks are in (default: the folder of --images)",
    )


def add_fold_arguments(parser: argparse.ArgumentParser) -> None:
    """--folds, --fold and --subset, for tools that work on a part of the manifest."""
    group = parser.add_argument_group("a part of the manifest")
    group.add_argument(
        "--folds", metavar="CSV", type=Path, help="the CSV that make_folds.py wrote (default: take the whole manifest)"
    )
    group.add_argument("--fold", type=not_negative, metavar="K", help="which fold is the test fold, from 0")
    group.add_argument(
        "--subset", choices=("train", "validation", "test"), help="the test fold, all others, or a part of the others"
    )
    group.add_argument(
        "--validation-fold",
        type=not_negative,
        metavar="K",
        help="set this fold aside instead of a share: the validation images of a data set's official split",
    )
    group.add_argument(
        "--validation",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="set whole groups with this share of the images outside the test fold aside: --subset validation takes "
        "them, --subset train leaves them out (default: none; example: 0.1)",
    )


def check_fold_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exits with a usage error unless --folds, --fold and --subset came all or none."""
    given = [args.folds is not None, args.fold is not None, args.subset is not None]
    if any(given) and not all(given):
        parser.error("--folds, --fold and --subset go together")
    of_fold = args.validation_fold is not None
    if args.subset == "validation" and not args.validation and not of_fold:
        parser.error("--subset validation needs --validation SHARE, or --validation-fold K")
    if args.validation and args.subset not in ("train", "validation"):
        parser.error("--validation goes with --subset train or validation")
    if of_fold and args.subset not in ("train", "validation"):
        parser.error("--validation-fold goes with --subset train or validation")
    if of_fold and args.validation:
        parser.error("--validation-fold and --validation: give one of them")
    if of_fold and args.validation_fold == args.fold:
        parser.error(f"--validation-fold {args.fold}: is the test fold; name another")


def add_engine_arguments(
    parser: argparse._ActionsContainer, default: Optional[str] = "caffe", trains: bool = False
) -> None:
    """--engine, --precision, --gpu and --allow-layer, for tools that run a net: the fields of engines.engine.Engine."""
    add_machine_arguments(parser, default, trains)
    add_allow_layer_argument(parser)


def add_machine_arguments(
    parser: argparse._ActionsContainer, default: Optional[str] = "caffe", trains: bool = True
) -> None:
    """--engine, --precision and --gpu, for tools whose nets are all made by this package; `trains`: not only forward
    passes."""
    said = "%(default)s" if default else "caffe where it is installed"
    which = "BVLC Caffe, or its equal on PyTorch" if trains else "BVLC Caffe, its equal on PyTorch, or onnxruntime"
    parser.add_argument(
        "--engine", choices=NAMES if trains else FORWARD_NAMES, default=default, help=f"{which} (default {said})"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="of the computation, for --engine torch; less than fp32 is less exact, and faster where the GPU (tf32, "
        "bf16) or the processor (bf16) has it in hardware (default %(default)s)",
    )
    parser.add_argument("--gpu", type=not_negative, metavar="N", help="run on this GPU (default: on the CPU)")


def add_allow_layer_argument(parser: argparse._ActionsContainer) -> None:
    """--allow-layer, for tools that build a net which the user gives."""
    parser.add_argument(
        "--allow-layer",
        action="append",
        default=[],
        metavar="TYPE",
        help="build the net although it has a layer of this type, which may read and write files; MODULE.CLASS for one "
        "of type Python, which runs that code; may be given several times",
    )


def usual_engine() -> str:
    """Caffe where this Python has it; PyTorch where it has that alone."""
    there = [name for name in NAMES if importlib.util.find_spec(name) is not None]
    return there[0] if there else NAMES[0]


def check_engine_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exits with a usage error where --engine, --precision and --gpu do not go together; says what will be slow."""
    fault = unusable(args.engine, args.gpu, args.precision)
    if fault:
        parser.error(fault)
    warning = slow(args.gpu, args.precision)
    if warning:
        print(f"{parser.prog}: {warning}", file=sys.stderr)


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine that is asked for."""
    return Engine(args.engine, args.gpu, args.precision, tuple(args.allow_layer))


def add_workers_argument(parser: argparse._ActionsContainer) -> None:
    """--workers, for tools that read images in processes of their own."""
    parser.add_argument(
        "--workers",
        metavar="N",
        type=positive,
        default=usable_cores(),
        help="processes that read images (default: one per core)",
    )


def add_batch_size_argument(parser: argparse._ActionsContainer, masks: bool = False) -> None:
    """--batch-size, for tools that run a net; `masks`: one that draws lesions too, which takes whole images."""
    default = f"{CROPS_AT_ONCE}; of a net with masks 1, the image" if masks else "%(default)s"
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=positive,
        default=None if masks else CROPS_AT_ONCE,
        help=f"crops per forward pass (default {default})",
    )


def add_near_duplicate_arguments(parser: argparse.ArgumentParser, distance: int, correlation: float) -> None:
    """--images, --near-duplicates, --least-correlation and --workers, with what is usual for the middle two."""
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="where the images are: files that are the same byte for byte are told; for --near-duplicates, too",
    )
    parser.add_argument(
        "--near-duplicates",
        type=not_negative,
        nargs="?",
        const=distance,
        metavar="DISTANCE",
        help="look for images of different groups that are nearly the same, mirrored or not: their 64-bit hashes "
        "differ in at most DISTANCE bits (%(const)s where none is given: it finds copies saved again, scaled or made "
        "brighter and most that were cut by 1 %% a side; more finds heavier crops, and images that only look alike)",
    )
    parser.add_argument(
        "--least-correlation",
        type=finite,
        default=correlation,
        metavar="R",
        help="of the grey images, shrunk to 32 x 32, for them to be near-duplicates (default %(default)s; less finds "
        "more crops, -1 believes the hashes alone)",
    )
    add_workers_argument(parser)


def check_near_duplicate_arguments(
    parser: argparse.ArgumentParser, args: argparse.Namespace, images_alone: bool = False
) -> None:
    """Exits with a usage error unless --images and --near-duplicates came both or none, in their range.

    images_alone  --images may come without --near-duplicates
    """
    if (args.images is None) != (args.near_duplicates is None) and not (images_alone and args.images):
        parser.error("--images and --near-duplicates go together")
    if args.near_duplicates is not None and args.near_duplicates > 64:
        parser.error("--near-duplicates: the hashes have 64 bits; give a number up to 64")
    if not -1 <= args.least_correlation <= 1:
        parser.error("--least-correlation: a correlation is a number from -1 to 1")
