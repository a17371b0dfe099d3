"""Whether the pages of an LMDB lead to each other and to no place outside of the file.

LMDB trusts its file: a page number or a length that is wrong makes it read behind the end of what it has mapped, which
kills the process (SIGBUS, SIGSEGV). The walk is over the tree's own pages: those of large values, which no length
leads out of, are not read. The layout is that of LMDB 0.9 (mdb.c: MDB_page, MDB_node, MDB_meta).
"""

from __future__ import annotations

import mmap
import struct
import sys
from pathlib import Path

import numpy as np

HEAD = 16  # bytes of a page: its number, 2 unused, flags, lower and upper bound of what is free
BRANCH, LEAF, OTHERS = 0x01, 0x02, 0x7C  # OTHERS: of values, of the head, of keys with several values
BIG = 0x01  # a node's flag: its value lies on pages of its own
MARKED = 0x8000  # a database's flag that LMDB sets for itself
NODE = 8  # bytes before a node's key
NO_PAGE = 2**64 - 1
MAGIC = 0xBEEFC0DE
DEEPEST = 32  # CURSOR_STACK
ORDER = "<" if sys.byteorder == "little" else ">"
METAS = struct.Struct(f"{ORDER}IIQQ IHHQQQQQ IHHQQQQQ QQ")


def pages_fault(path: Path) -> str:
    """What is wrong with a data.mdb, in words; nothing where all of it can be read."""
    try:
        with open(str(path), "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(data).fault()
    except (struct.error, ValueError, IndexError, BufferError):
        return "not an LMDB: data.mdb is cut short"


class _Walk:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data

    def fault(self) -> str:
        page_size = METAS.unpack_from(self._data, HEAD)[4]
        metas = [METAS.unpack_from(self._data, HEAD + place) for place in (0, page_size)]
        meta = max(metas, key=lambda meta: meta[-1])
        depth, root, self._last = meta[14], meta[19], meta[20]
        if any((meta[0], meta[4]) != (MAGIC, page_size) for meta in metas) or not 256 <= page_size <= 65536:
            return "not an LMDB"
        whole = (self._last + 1) * page_size
        if len(self._data) < whole:
            return f"data.mdb has {len(self._data)} bytes of {whole}"
        self._page_size, self._seen, self._entries = page_size, bytearray(self._last + 1), 0
        if any(meta[13] & ~MARKED for meta in metas):
            return "not of keys with one value each"
        if root == NO_PAGE:
            return ""
        if not 1 <= depth <= DEEPEST:
            return f"damaged: a tree of {depth} levels"
        pages = [root]
        for level in range(depth, 0, -1):
            below: list[int] = []
            for page in pages:
                fault = self._page(page, LEAF if level == 1 else BRANCH, below)
                if fault:
                    return f"damaged: page {page} {fault}"
            pages = below
        return "" if self._entries == meta[18] else f"damaged: it has {self._entries} records of {meta[18]}"

    def _page(self, page: int, kind: int, below: list[int]) -> str:
        """Looks at one page, and adds the pages that a branch leads to."""
        if not self._take(page, 1):
            return "is outside of the file, or there twice"
        start, size = page * self._page_size, self._page_size
        number, _, flags, lower, upper = struct.unpack_from(f"{ORDER}QHHHH", self._data, start)
        if number != page or flags & (BRANCH | LEAF | OTHERS) != kind:
            return "is another page"
        if not HEAD < lower <= upper <= size or lower % 2:
            return "has wrong bounds"
        raw = np.frombuffer(self._data, np.uint8, size, start)
        places = raw[HEAD:lower].view(np.uint16).astype(np.int64)
        if places.min() < upper or places.max() + NODE > size:
            return "has a node outside of it"
        heads = raw[places[:, None] + np.arange(NODE)].copy().view(np.uint16).astype(np.int64)
        low, high, node_flags, key_size = heads.T
        if kind == BRANCH:
            if (places + NODE + key_size).max() > size:
                return "has a key outside of it"
            below += (low | high << 16 | node_flags << 32).tolist()
            return ""
        self._entries += len(places)
        if (node_flags & ~BIG).any():
            return "has a record of a kind that Caffe does not write"
        is_big = node_flags & BIG != 0
        length = low | high << 16
        if (places + NODE + key_size + np.where(is_big, 8, length)).max() > size:
            return "has a record outside of it"
        for place, bytes_ in zip((places + NODE + key_size)[is_big].tolist(), length[is_big].tolist()):
            first = struct.unpack_from(f"{ORDER}Q", raw, place)[0]
            if not self._take(first, -(-(HEAD + bytes_) // size)):
                return "leads to a value outside of the file, or twice to one"
        return ""

    def _take(self, page: int, count: int) -> bool:
        """Whether the pages are of the file, and have not been met before."""
        if page < 2 or page + count > self._last + 1 or any(self._seen[page : page + count]):
            return False
        self._seen[page : page + count] = b"\1" * count
        return True
