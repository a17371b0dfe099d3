#!/usr/bin/env python3
"""Scores images with a snapshot: ten crops per image, probabilities averaged; or box, class and mask of the lesion.

A net that draws lesions takes each image once, whole. Its masks are written as PNGs in the size of the images; where
the manifest has true masks, the scores file holds how many pixels agree.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Union

from arguments import (
    add_data_arguments,
    add_fold_arguments,
    add_masks_argument,
    check_engine_arguments,
    check_fold_arguments,
    manifest_of,
)
from caffe_files.errors import InputError
from cli import new_parser, program, run
from net_arguments import (
    add_allow_trained_argument,
    add_net_arguments,
    add_protocol_arguments,
    add_trained_on_argument,
    check_net_arguments,
    mask_protocol_of,
    net_of,
    protocol_of,
    seen_by,
    tell_seen,
    tell_trained_on,
)
from skinmtl.data.folds import select
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import images_of, images_of_another_set
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS, warning
from skinmtl.nets.label_names import LabelNames, known_names
from skinmtl.publishing.model_folder import RECORD, read_model_folder
from skinmtl.scores.external_file import ExternalScores
from skinmtl.scores.mask_files import default_folder
from skinmtl.scores.mask_net import mask_net_of
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.pairing import heads_of
from skinmtl.scores.region_metrics import evaluate_regions, usual_positive
from skinmtl.scores.region_scoring import Places, score_regions
from skinmtl.scores.region_tables import region_summary
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.scoring import score, score_external
from skinmtl.scores.tables import summary
from skinmtl.training.trained_net import TrainedNet


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_net_arguments(parser.add_argument_group("the net"))
    add_data_arguments(parser)
    parser.add_output_argument("--out", required=True, help="the .npz to write")
    add_fold_arguments(parser)
    parser.add_argument(
        "--external",
        action="store_true",
        help="the manifest is of another data set than the net's, with names of its own: keep them, for evaluate.py "
        "--label-map",
    )
    add_trained_on_argument(parser)
    add_allow_trained_argument(parser)
    group = parser.add_argument_group("a net that draws lesions")
    add_masks_argument(group)
    parser.add_output_argument(
        "--masks-out",
        folder=True,
        help="the folder to write the net's masks to, IMAGE.png each (default: beside --out, with _masks in its name)",
    )
    add_protocol_arguments(parser, masks=True)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_net_arguments(parser, args)
    check_fold_arguments(parser, args)
    check_engine_arguments(parser, args)
    if args.out.suffix != ".npz":
        parser.error(f"--out {args.out}: must end in .npz")
    return args


def refuse_masks(args: argparse.Namespace, net: TrainedNet) -> None:
    """InputError where flags of masks are given for a net of labels."""
    for flag, value in (("--masks", args.masks), ("--masks-out", args.masks_out)):
        if value is not None:
            raise InputError(f"{flag}: {net.deploy} draws no lesions; leave the flag out")


def scored_labels(
    args: argparse.Namespace, net: TrainedNet, manifest: Manifest, seen: Union[Dict[str, Any], str]
) -> Scores:
    """Of a net of labels."""
    refuse_masks(args, net)
    protocol = protocol_of(args, net.deploy)
    return score(net.deploy, net.weights, manifest, args.images, protocol, args.out, vars(args), seen)


def net_names(args: argparse.Namespace, net: TrainedNet) -> LabelNames:
    """The names of a net's heads, of the model folder, the net's folder or the data that it was trained on."""
    if (net.deploy.parent / RECORD).is_file():
        return {f"{head}_names": names for head, names in read_model_folder(net.deploy.parent).labels.items()}
    return known_names(net.deploy, args.trained_on or ([] if net.train_data is None else [net.train_data]))


def scored_externally(
    args: argparse.Namespace, net: TrainedNet, manifest: Manifest, seen: Union[Dict[str, Any], str]
) -> ExternalScores:
    """Of a net of labels, on another data set."""
    refuse_masks(args, net)
    names = net_names(args, net)
    protocol = protocol_of(args, net.deploy)
    made = score_external(net.deploy, net.weights, names, manifest, args.images, protocol, args.out, vars(args), seen)
    tell_seen(net, seen)
    tell_trained_on(net, seen)
    return made


def scored_regions(
    args: argparse.Namespace, net: TrainedNet, manifest: Manifest, seen: Union[Dict[str, Any], str]
) -> Scores:
    """Of a net that draws lesions."""
    masks: Optional[Path] = (args.masks or args.images) if manifest.has_masks or args.masks else None
    places = Places(args.images, masks, args.masks_out or default_folder(args.out))
    protocol = mask_protocol_of(args, net.deploy)
    return score_regions(net.deploy, net.weights, manifest, places, protocol, args.out, vars(args), seen)


def main() -> None:
    args = parse_args()
    manifest = select(manifest_of(args), args.folds, args.fold, args.subset, args.validation, args.validation_fold)
    net = net_of(args)
    draws = mask_net_of(net.deploy) is not None
    images = (images_of_another_set if args.external else images_of)(manifest, args.images)
    seen = seen_by(net, images, args.allow_trained, args.trained_on)
    if args.external:
        if draws:
            raise InputError(f"--external: {net.deploy} draws lesions; leave the flag out, and name classes as it does")
        names = scored_externally(args, net, manifest, seen).names["lesion"]
        told = f"lesions of the net: {', '.join(names)}; of the data: {', '.join(manifest.lesion_names)}"
        print(f"{args.out}: {len(manifest.rows)} images scored; {told}; evaluate.py --label-map says which are which")
        return
    scores = (scored_regions if draws else scored_labels)(args, net, manifest, seen)
    tell_seen(net, seen)
    tell_trained_on(net, seen)
    if scores.protocol.get(DEAD_PROPOSALS):
        told = warning(scores.protocol[DEAD_PROPOSALS], len(scores.image))
        print(f"{program()}: {net.weights}: {told}", file=sys.stderr)
    told = [summary(evaluate(scores))] if heads_of(scores) else []
    if draws:
        told.append(region_summary(evaluate_regions(scores, usual_positive(scores.class_names or []))))
    print(f"{args.out}: {len(manifest.rows)} images scored: {', '.join(told)}")


if __name__ == "__main__":
    run(main)
