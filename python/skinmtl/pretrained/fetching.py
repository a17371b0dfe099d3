"""Published weights on this machine: fetched, or a copy that is there; checked, and what was found written down."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.outputs import disk_errors, new_file
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by
from skinmtl.nets.net_probe import NetShapes
from skinmtl.nets.weights import compare_weights
from skinmtl.pretrained.download import DownloadError, Patience, download
from skinmtl.pretrained.published import Published
from skinmtl.pretrained.resnet50 import caffe_shapes

SHOWN = 3  # layers in a message


class Checked(NamedTuple):
    """A file that is the published one: its sha256, and by what that was seen."""

    path: Path
    sha256: str
    seen_by: str


def fetch(
    published: Published,
    out: Path,
    url: str | None = None,
    arguments: dict[str, Any] | None = None,
    patience: Patience = Patience(),  # noqa: B008  (it cannot change)
) -> Checked:
    """Fetches a file to the folder `out`, from its own address or from `url`; one that is there already is checked.

    Beside it lies NAME.json, which says what it is and what made it (`arguments`). InputError, and no file of that
    name, where it cannot be had or is not the published one: then it is kept as NAME.wrong-checksum.
    """
    target = out / published.file
    by_hand = (
        f"fetch it by other means (see {published.page}), put it at {target} and run this again to have it checked"
    )
    with disk_errors(target):
        if target.is_symlink() or target.exists():
            return check_copy(published, target, arguments)
        address = url or published.url
        if address is None:
            raise InputError(f"{published.name}: no link to it lasts; {by_hand}")
        out.mkdir(parents=True, exist_ok=True)
        part = out / f"{published.file}.part"
        try:
            download(address, part, published.size, patience)
        except DownloadError as error:
            begun = f"; or try later: {part} has what came so far, the same command goes on" if part.exists() else ""
            raise InputError(f"{address}: {error}; {by_hand}{begun}") from None
        fault, checked = _compare(published, part)
        if fault:
            aside = out / f"{published.file}.wrong-checksum"
            part.replace(aside)
            raise InputError(f"{address}: {fault}; kept as {aside}, not used: try later, or another --url")
        _record(published, target, checked, arguments)
        part.replace(target)
    return checked._replace(path=target)


def check_copy(published: Published, path: Path, arguments: dict[str, Any] | None = None) -> Checked:
    """Checks a file that is there, whatever its name, and writes `path`.json. InputError where it is another."""
    if not path.is_file():
        raise InputError(f"{path}: is not there or is no file; give the path of {published.file}")
    fault, checked = _compare(published, path)
    if fault:
        raise InputError(f"{path}: is not {published.name}: {fault}; move it away and fetch it again")
    _record(published, path, checked, arguments)
    return checked


def _compare(published: Published, path: Path) -> tuple[str, Checked]:
    """What is wrong with a file, or nothing, and what is to be said of it."""
    digests = _digests(path)
    found = digests[published.algorithm]
    agrees = found.startswith(published.digest)
    whole = len(published.digest) == len(found)
    part = "" if whole else f"the first {len(published.digest)} digits of "
    seen_by = f"{part}the {published.algorithm} that is stated by {published.stated_by}"
    if published.by_layers:
        seen_by = f"all its layers, {'and' if agrees else 'but not'} {seen_by}"
        return _layers_fault(path), Checked(path, digests["sha256"], seen_by)
    shown = published.digest if whole else f"{published.digest}..."
    fault = "" if agrees else f"its {published.algorithm} is {found}, not {shown}"
    return fault, Checked(path, digests["sha256"], seen_by)


def _layers_fault(path: Path) -> str:
    """Holds a caffemodel against the published ResNet-50, layer by layer."""
    shapes = caffe_shapes()
    try:
        report = compare_weights(NetShapes(shapes, {}), path)
    except InputError as error:
        return str(error).partition(": ")[2].partition(";")[0]
    faults = [*report.disagreeing, *(f"{name}: missing" for name in report.initial)]
    if not faults:
        return ""
    more = ", ..." if len(faults) > SHOWN else ""
    return f"{len(faults)} of its {len(shapes)} layers are not ResNet-50's ({', '.join(faults[:SHOWN])}{more})"


def _digests(path: Path) -> dict[str, str]:
    digests = {name: hashlib.new(name) for name in ("sha1", "sha256")}
    try:
        with open(str(regular_file(path)), "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                for digest in digests.values():
                    digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _record(published: Published, path: Path, checked: Checked, arguments: dict[str, Any] | None) -> None:
    said = {
        "name": published.name,
        "sha256": checked.sha256,
        "seen_by": checked.seen_by,
        "licence": published.licence,
        "page": published.page,
        "made_by": made_by(arguments or {}),
    }
    record = path.with_name(path.name + ".json")
    if record.is_file() and f'"name": "{published.name}"' not in record.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{record}: says that {path.name} is something else; move it away where that is wrong")
    with new_file(record) as partial:
        write_json(partial, said)
