"""Which images are to be predicted: files, all images below folders, and one on standard input."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Iterator, Sequence

from caffe_files.errors import InputError
from skinmtl.images import formats, image_file
from skinmtl.importers.files import Files

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Item:
    """An image: its name as the user knows it, its file (None: `data` has its bytes), what its overlays start with."""

    name: str
    path: Path | None
    overlays: str
    data: bytes = b""

    def load(self, short_side: int) -> image_file.Loaded:
        """The pixels, resized, of an image that came as bytes."""
        return image_file.loaded(self.data, short_side)


def gather(given: Sequence[str], standard_input: IO[bytes] | None) -> tuple[list[Item], list[str]]:
    """The images in the order given, those of a folder by name; and a line for each folder with other files in it.

    `standard_input` is None where it is closed. InputError where it cannot be read, and where a folder has no image. A
    file that is missing is an Item: it is told with the other bad ones.
    """
    items, told = [], []
    for each in given:
        path = Path(each)
        if each == STANDARD_INPUT:
            items.append(Item("standard input", None, "standard_input", _all_of(standard_input)))
        elif path.is_dir():
            names = Files(path).names
            found = [name for name in names if formats.is_read(name)]
            left_out = [f"{path}: {line}" for line in _left_out(names)]
            if not found:
                reasons = "; ".join(line.partition(": ")[2] for line in left_out)
                raise InputError(
                    f"{path}: no image below it{f' ({reasons})' if reasons else ''}; name another folder, or files"
                )
            told += left_out
            items += [Item(str(path / name), path / name, name) for name in found]
        else:
            items.append(Item(each, path, path.name))
    return items, told


def check_overlay_names(items: Sequence[Item]) -> None:
    """InputError where the overlays of two images would have one name."""
    named: dict[str, Item] = {}
    for item in items:
        other = named.setdefault(item.overlays, item)
        if other.name == item.name and other is not item:
            raise InputError(f"{item.name}: is given twice; give it once")
        if other is not item:
            raise InputError(
                f"{item.name}: {other.name} would have overlays of the same name; give them in two commands"
            )


def _all_of(standard_input: IO[bytes] | None) -> bytes:
    try:
        if standard_input is not None:
            return standard_input.read(image_file.LARGEST_FILE + 1)
        reason = "closed"
    except OSError as error:
        reason = error.strerror
    raise InputError(f"standard input: cannot be read ({reason}); send an image there, or name files")


def _left_out(names: Sequence[str]) -> Iterator[str]:
    """Yields how many are left out and why, a line for each reason."""
    others = [name for name in names if not formats.is_read(name)]
    for why, count in Counter(map(formats.why_unread, others)).items():
        one = count == 1
        if why:
            yield f"{count} {'image is' if one else 'images are'} left out: {why}"
        else:
            yield f"{count} {'file has another ending and is' if one else 'files have other endings and are'} left out"
