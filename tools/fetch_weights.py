#!/usr/bin/env python3
"""Fetches published weights, or checks a copy of them, and writes down what they are."""

import argparse
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from cli import new_parser, run
from skinmtl.pretrained.fetching import check_copy, fetch
from skinmtl.pretrained.published import CHECKPOINT, PUBLISHED, Published


def address(text: str) -> str:
    """An argparse type: an address of http or https."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(f"{text!r} is no http or https address")
    return text


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(PUBLISHED), metavar="NAME", help="one that --list lists")
    parser.add_argument("--list", action="store_true", help="list the weights that are known, and end")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to put the file into (default: this one); a run that was stopped is taken up again",
    )
    parser.add_argument(
        "--url", metavar="URL", type=address, help="another address of the same file; its checksum decides as well"
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="check this copy and fetch none; writes FILE.json")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.list == (args.name is not None):
        parser.error("give a NAME, or --list to see them")
    if args.file and (args.url or args.out):
        parser.error("--file fetches nothing; leave --out and --url out")
    return args


def listing(one: Published) -> str:
    size = f"{one.size / 1e6:.0f} MB, " if one.size else ""
    lines = [
        one.name,
        f"    {one.file}: {size}{one.kind}, licence: {one.licence}",
        f"    {one.url or 'no link lasts; --file checks a copy'}",
        f"    {one.algorithm} {one.digest}{'' if len(one.digest) >= 40 else '...'}, stated by {one.stated_by}",
        f"    {one.page}",
    ]
    return "\n".join(lines)


def next_step(published: Published, path: Path) -> str:
    given = shlex.quote(str(path))
    if published.kind == CHECKPOINT:
        made = shlex.quote(str(path.with_suffix(".caffemodel")))
        return f"tools/convert_weights.py --checkpoint {given} --out {made}"
    return f"tools/check_weights.py --weights {given} --net NET/train.prototxt"


def main() -> None:
    args = parse_args()
    if args.list:
        print("\n".join(map(listing, PUBLISHED.values())))
        return
    published = PUBLISHED[args.name]
    if args.file:
        checked = check_copy(published, args.file, vars(args))
    else:
        checked = fetch(published, args.out or Path(), args.url, vars(args))
    print(f"{checked.path}: {published.name}, by {checked.seen_by}")
    print(f"sha256 {checked.sha256}")
    print(f"next: {next_step(published, checked.path)}")


if __name__ == "__main__":
    run(main)
