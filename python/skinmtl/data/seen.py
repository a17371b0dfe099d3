"""Which images a net has seen in its training, counted before it is tested on them, and said wherever figures are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, Iterable, NamedTuple

from caffe_files.errors import InputError
from caffe_files.shown import shown
from skinmtl.data.manifest import Manifest
from skinmtl.data.trained_on import TrainedOn, digest, group_digest, name_digest

UNKNOWN = "unknown"  # in a protocol, where nothing records what the net was trained on
KEY = "trained_on"  # of a protocol
TRAINED, WATCHED, SAME_NAME, SAME_GROUP = "trained", "watched", "same_name", "same_group"
COUNTS = (TRAINED, WATCHED, SAME_NAME, SAME_GROUP)


class Image(NamedTuple):
    """An image to be compared: its file or its bytes, its id, and its group; "" where it has none of these two."""

    path: Path | None
    data: bytes = b""
    name: str = ""
    group: str = ""


def images_of(manifest: Manifest, image_folder: Path) -> list[Image]:
    """Those of a manifest."""
    return [
        Image(image_folder / row.image, name=row.image, group="" if row.group == row.image else row.group)
        for row in manifest.rows
    ]


def images_of_another_set(manifest: Manifest, image_folder: Path) -> list[Image]:
    """Those of a manifest of other data than were trained on: an equal group is not the same patient, and a number
    alone is no image's id."""
    images = images_of(manifest, image_folder)
    return [
        image._replace(group="", name="" if PurePosixPath(image.name).stem.isdigit() else image.name)
        for image in images
    ]


def seen(trained_on: TrainedOn | None, images: Iterable[Image]) -> dict[str, Any] | str:
    """How many of the images a net has seen, as a protocol's record; UNKNOWN where that cannot be told.

    `trained`     that were trained on, by the run or by one that its weights came from
    `watched`     of its validation set
    `same_name`   that have the id of an image that was trained on or watched, but other contents
    `same_group`  that were not seen, but are of a group, such as a patient, that was trained on

    Files are read only where their size is that of an image that was seen. One that cannot be read was not seen.
    """
    if trained_on is None:
        return UNKNOWN
    listed = list(images)
    compare = _Comparison(trained_on)
    if not (compare.by_contents or any(image.name for image in listed)):
        return UNKNOWN
    counts = Counter(kind for kind in map(compare.kind, listed) if kind)
    return {
        "images": len(listed),
        **{kind: counts[kind] for kind in COUNTS},
        "compared": "contents and names" if trained_on.has_contents() else "names",
        "starting_weights": trained_on.start,
    }


class _Comparison:
    def __init__(self, trained_on: TrainedOn) -> None:
        self.by_contents: dict[str, str] = {}
        self._by_name: dict[str, tuple[str, bool]] = {}
        for role in ("validation", "earlier", "training"):  # of an image with two roles the last one counts
            kind = WATCHED if role == "validation" else TRAINED
            for known in trained_on.images[role]:
                if known.contents:
                    self.by_contents[known.contents] = kind
                if known.name:
                    self._by_name[known.name] = (kind, bool(known.contents))
        self._sizes = {known.size for each in trained_on.images.values() for known in each if known.contents}
        self._groups = set(trained_on.groups)

    def kind(self, image: Image) -> str:
        """One of COUNTS, or "" of an image that was not seen."""
        found = self.by_contents.get(self._contents(image))
        if found:
            return found
        kind, has_contents = self._by_name.get(name_digest(image.name), ("", False)) if image.name else ("", False)
        if kind:
            return SAME_NAME if has_contents else kind
        return SAME_GROUP if image.group and group_digest(image.group) in self._groups else ""

    def _contents(self, image: Image) -> str:
        if image.path is None:
            return digest(image.data)
        try:
            if image.path.is_file() and image.path.stat().st_size in self._sizes:
                return digest(image.path.read_bytes())
        except OSError:
            pass  # whoever tests it says so
        return ""


def require_unseen(record: dict[str, Any] | str, what: str, allowed: bool) -> None:
    """InputError where images were trained on, or may have been, and that is not `allowed`; else it is noted."""
    if record == UNKNOWN or not (record[TRAINED] or record[SAME_NAME]):
        return
    if not allowed:
        raise InputError(
            f"{what}: {'; '.join(_phrases(record))}: figures of them say nothing about new images; take images that "
            "were left out of the training, or give --allow-trained, which is then noted beside every figure"
        )
    record["allowed"] = True


def marks(protocol: Any, prefix: str = "") -> list[str]:
    """What a reader of figures must know of the images that they are of, a line each; nothing where all is well.

    `protocol` is that of a scores file, an ensemble's or a pooled one's too.
    """
    if not isinstance(protocol, dict):
        protocol = {}
    sources = _sources(protocol)
    if sources:
        of_sources = ((source.get("protocol"), f"{_file(source)}: ") for source in sources)
        return list(dict.fromkeys(mark for each, file in of_sources for mark in marks(each, file)))
    record = protocol.get(KEY, UNKNOWN)
    if not _is_whole(record):
        return [f"{prefix}whether these images were trained on is not recorded"]
    return [prefix + phrase for phrase in _phrases(record)]


def is_known(protocol: Any) -> bool:
    """Whether a protocol says how many of the images a net had seen; an ensemble's or a pooled one's: of all nets."""
    if not isinstance(protocol, dict):
        return False
    sources = _sources(protocol)
    if sources:
        return all(is_known(source.get("protocol")) for source in sources)
    return _is_whole(protocol.get(KEY))


def limits(record: dict[str, Any] | str) -> list[str]:
    """What such a record cannot vouch for, a line each."""
    if not _is_whole(record):
        return ["whether the images were trained on cannot be told: no record beside the weights says what was"]
    lines = []
    if record.get("compared") == "names":
        lines.append("images are compared with those of the training by name alone: their contents were not recorded")
    if record.get("starting_weights") == "not recorded":
        lines.append("what the initial weights of this training were trained on is not recorded")
    return lines


def n_trained(protocol: Any) -> int:
    """How many images were trained on, or have the name of one that was, as far as a protocol says; of several sources
    the most."""
    if not isinstance(protocol, dict):
        return 0
    sources = _sources(protocol)
    if sources:
        return max(n_trained(source.get("protocol")) for source in sources)
    record = protocol.get(KEY)
    return record[TRAINED] + record[SAME_NAME] if _is_whole(record) else 0


def _sources(protocol: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of an ensemble's or a pooled file's protocol."""
    sources = protocol.get("sources") or protocol.get("pooled")
    return [source for source in sources if isinstance(source, dict)] if isinstance(sources, list) else []


def _file(source: dict[str, Any]) -> str:
    return shown(str(source.get("file"))).replace("\n", " ")


def _is_whole(record: Any) -> bool:
    return isinstance(record, dict) and all(type(record.get(name)) is int for name in ("images", *COUNTS))


def _phrases(record: dict[str, Any]) -> list[str]:
    phrases = {
        TRAINED: ("was trained on", "were trained on"),
        WATCHED: ("was watched in training, for validation", "were watched in training, for validation"),
        SAME_NAME: (
            "has the name of an image of the training, but other contents (resized, or saved anew?)",
            "have the names of images of the training, but other contents (resized, or saved anew?)",
        ),
        SAME_GROUP: (
            "is new, but of a patient, case or lesion that was trained on",
            "are new, but of patients, cases or lesions that were trained on",
        ),
    }
    if record["images"] == 1:
        return [f"the image {one}" for kind, (one, _) in phrases.items() if record[kind]]
    return [
        f"{record[kind]} of the {record['images']} images {several if record[kind] > 1 else one}"
        for kind, (one, several) in phrases.items()
        if record[kind]
    ]
