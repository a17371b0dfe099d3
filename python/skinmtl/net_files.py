"""A model's three prototxts on disk: made from options and data sets, written, compared with what is there."""

from __future__ import annotations

from pathlib import Path

from skinmtl.dataset import read_summary
from skinmtl.errors import InputError
from skinmtl.nets import SPLITS, NetOptions, make_net
from skinmtl.outputs import new_file
from skinmtl.prototxt import message_text

LARGEST_TEST_BATCH = 50
UNKNOWN_TEST_BATCH = 20  # as in training


def label_counts(data_folders: list[Path], lesions: int | None, locations: int | None) -> tuple[int, int]:
    """(P, Q) from the data sets that exist and from what the user says; InputError where two of them disagree."""
    counts = []
    for name, said in (("lesion_names", lesions), ("location_names", locations)):
        sources = {"the flag": said} if said is not None else {}
        sources.update({str(at): len(read_summary(at)[name]) for at in data_folders if at.exists()})
        if not sources:
            raise InputError(f"{data_folders[0]}: not there to count its labels; make it, or give the label counts")
        if len(set(sources.values())) > 1:
            told = ", ".join(f"{source}: {count}" for source, count in sources.items())
            raise InputError(f"{data_folders[0]}: {name} are not equally many ({told}); use data sets of one manifest")
        counts.append(next(iter(sources.values())))
    return counts[0], counts[1]


def test_batch_size(test_data: Path) -> int:
    """The largest batch up to LARGEST_TEST_BATCH that divides the test set.

    Caffe does not rewind a test net between tests: only where test_iter x batch is the set does every test see the
    same images.
    """
    if not test_data.exists():
        return UNKNOWN_TEST_BATCH
    n_records = read_summary(test_data)["n_records"]
    return max(batch for batch in range(1, LARGEST_TEST_BATCH + 1) if n_records % batch == 0)


def test_iterations(test_data: Path, batch_size: int) -> int:
    """The solver's test_iter: how many batches cover the test set."""
    return -(-read_summary(test_data)["n_records"] // batch_size)


def net_files(options: NetOptions, command: str) -> dict[str, str]:
    """File name -> text of train.prototxt, test.prototxt and deploy.prototxt, headed by the command that makes them."""
    header = f"# made by: {command}\n# Change the command, not this file.\n"
    return {f"{split}.prototxt": header + message_text(make_net(options, split)) for split in SPLITS}


def write_net_files(files: dict[str, str], out: Path) -> None:
    """Writes or replaces the files, each whole."""
    for name, text in files.items():
        with new_file(out / name) as partial:
            partial.write_text(text, encoding="utf-8")


def differing_files(files: dict[str, str], out: Path) -> list[Path]:
    """The files in `out` that are missing or not exactly as generated."""
    paths = {out / name: text for name, text in files.items()}
    return [path for path, text in paths.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
