"""Names in Markdown."""

from __future__ import annotations

import re
from typing import Any

from caffe_files.shown import shown

SPECIAL = re.compile(r"([\\`*\[\]<>|#&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")  # inside a word _ is no markup


def plain(text: Any) -> str:
    """Text that stands in Markdown as it is written, on one line: no markup, no end of a table's cell."""
    return SPECIAL.sub(r"\\\1", shown(" ".join(str(text).split())))
