#!/usr/bin/env python3
"""Makes the committed nets anew, each by the command in the first line of its train.prototxt, or says which differ.

No shell sees the command, and no other program than tools/make_prototxt.py is run. It runs in an empty folder, so that
data sets that happen to be here leave no trace in what is committed.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List

HERE = Path(__file__).resolve().parent
TOOL = "tools/make_prototxt.py"
MARK = "# made by: "
# by name, so that a folder that somebody puts here is not made anew
NETS = (
    *("alexnet_lesion", "resnet50_lesion", "resnet50_location", "resnet50_mtl"),
    *("resnet50_mask_rcnn", "resnet101_mask_rcnn"),
    *("tiny_alexnet_lesion", "tiny_lesion", "tiny_location", "tiny_mtl"),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is not as generated")
    return parser.parse_args()


def command_of(net: Path) -> List[str]:
    """The arguments of make_prototxt.py that make the net in this very folder; ValueError where the line says other."""
    first = (net / "train.prototxt").read_text(encoding="utf-8").split("\n")[0]
    words = shlex.split(first[len(MARK) :]) if first.startswith(MARK) else []
    expected = ["--out", f"{HERE.name}/{net.name}"]
    if words[:1] != [TOOL] or words[-2:] != expected or words.count("--out") != 1:
        raise ValueError(f"its first line is no {MARK}{TOOL} ... {' '.join(expected)}")
    return words[1:]


def differing(net: Path, keep: bool) -> List[str]:
    """Generates the net; returns the names of its files that are not the committed ones, replaced unless `keep`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE.parent / TOOL), *command_of(net)]
        made = subprocess.run(command, cwd=folder, capture_output=True)
        if made.returncode:
            raise ValueError(made.stderr.decode().strip())
        files = sorted((Path(folder) / HERE.name / net.name).iterdir())
        found = [
            file
            for file in files
            if not (net / file.name).is_file() or (net / file.name).read_bytes() != file.read_bytes()
        ]
        for file in [] if keep else found:
            shutil.copyfile(str(file), str(net / file.name))
    return [file.name for file in found]


def main() -> int:
    args = parse_args()
    status = 0
    for net in sorted(path.parent for path in HERE.glob("*/train.prototxt")):
        if net.name not in NETS:
            print(f"{net.relative_to(HERE.parent)}: not one of the project's nets, left as it is")
            continue
        try:
            names = differing(net, keep=args.check)
        except ValueError as error:
            names = [str(error)]
            status = 1
        if args.check and names:
            status = 1
        said = f"{'not as generated' if args.check else 'made anew'}: {', '.join(names)}" if names else "as generated"
        print(f"{net.relative_to(HERE.parent)}: {said}", file=sys.stderr if names and args.check else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
