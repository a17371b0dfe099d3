"""What the tables of the International Skin Imaging Collaboration (ISIC) have in common."""

from __future__ import annotations

from pathlib import PurePosixPath

from skinmtl.importers.files import IMAGE_ENDINGS


def image_key(image: str) -> str:
    """The id in a form that two tables can be joined on: without folder, image ending and case.

    >>> image_key("train/ISIC_0000001.JPG")
    'isic_0000001'
    """
    path = PurePosixPath(image.strip().replace("\\", "/"))
    return (path.stem if path.suffix.lower() in IMAGE_ENDINGS else path.name).lower()


def kept(record: dict[str, str], *columns: str) -> dict[str, str]:
    """These columns of the record as far as the table has them, for the manifest."""
    return {name: record[name] for name in columns if name in record}
