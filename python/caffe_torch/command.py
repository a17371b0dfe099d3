"""caffe-torch: `caffe train`, `caffe test` and `caffe time` with PyTorch, with Caffe's own flags; pycaffe's scripts.

caffe-torch train -solver solver.prototxt [-weights a.caffemodel,b.caffemodel | -snapshot x.solverstate] [-gpu 0,1]
caffe-torch test  -model net.prototxt -weights a.caffemodel [-iterations 50] [-gpu 0]
caffe-torch time  -model net.prototxt [-iterations 50] [-gpu 0]
caffe-torch python script.py [the script's own arguments]
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from typing import Sequence

from caffe_files.errors import InputError
from caffe_files.shown import shown
from caffe_torch import PRECISIONS
from caffe_torch.stopping import Action


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags, with one dash or two, by their whole names."""
    parser = argparse.ArgumentParser(
        "caffe-torch", description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="train|test|time|python")
    commands.add_parser("python", add_help=True, help="a script whose `import caffe` finds caffe_torch.pycaffe")
    for name in ("train", "test", "time"):
        command = commands.add_parser(name, allow_abbrev=False)
        command.add_argument(
            "--gpu",
            help="a GPU's number, several joined by commas, all, or cpu (default: as the solver says)",
        )
        command.add_argument(
            "--precision", choices=PRECISIONS, default="fp32", help="of the computation (default %(default)s)"
        )
        command.add_argument(
            "--workers", type=int, help="processes that read a net's images ahead (default: a core's, less one)"
        )
        command.add_argument("--level", type=int, default=0, help="of the net (default %(default)s)")
        command.add_argument("--stage", default="", help="stages of the net, joined by commas, beside its own")
        if name == "train":
            command.add_argument("--solver", type=Path, required=True, help="the solver's prototxt")
            start = command.add_mutually_exclusive_group()
            start.add_argument("--weights", default="", help="caffemodels to start from, joined by commas")
            start.add_argument("--snapshot", type=Path, help="a solverstate to go on from")
            command.add_argument(
                "--warm-up",
                type=int,
                default=0,
                help="iterations over which the learning rate rises to what the solver says; the same again with "
                "-snapshot (default: none, as Caffe)",
            )
            effects = [action.value for action in Action]
            command.add_argument(
                "--sigint_effect", choices=effects, default="stop", help="of Ctrl-C (default %(default)s)"
            )
            command.add_argument(
                "--sighup_effect", choices=effects, default="snapshot", help="of SIGHUP (default %(default)s)"
            )
        else:
            command.add_argument("--model", type=Path, required=True, help="the net's prototxt")
            command.add_argument("--weights", default="", help="caffemodels, joined by commas")
            command.add_argument("--iterations", type=int, default=50, help="batches (default %(default)s)")
            command.add_argument("--phase", choices=("TRAIN", "TEST"), default="TRAIN" if name == "time" else "TEST")
    # argparse takes the beginning of a flag for the flag where it has one dash
    args = parser.parse_args([re.sub(r"^-(?=[a-z]\w)", "--", each) for each in arguments])
    if args.command != "train" and args.iterations < 1:
        parser.error("-iterations: at least 1")
    if args.command == "train" and args.warm_up < 0:
        parser.error("-warm-up: not below 0")
    if args.workers is not None and args.workers < 0:
        parser.error("-workers: not below 0")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Status 0; 1 where an input is at fault, with one line; 143 where SIGTERM ended a training."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["python"] and arguments[1:2] not in (["-h"], ["--help"]):
        return _run_script(arguments[1:])
    args = parse_args(arguments)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if handlers[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as Caffe; and no traceback from what is just being imported
    try:
        from caffe_torch.running import run_command  # PyTorch takes seconds: not for a mistyped flag

        return run_command(args, arguments)
    except InputError as error:
        print(f"caffe-torch: {shown(str(error))}", file=sys.stderr)
        return 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _run_script(arguments: list[str]) -> int:
    try:
        from caffe_torch.pycaffe.script import run_script

        run_script(arguments)
        return 0
    except InputError as error:
        print(f"caffe-torch: {shown(str(error))}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
