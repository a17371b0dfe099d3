"""Arrays in .npz files, read one by one, whatever is in the file."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from skinmtl.common.json_file import json_value
from skinmtl.common.memory import require_memory


class ArraysFile:
    """An .npz that is open: `names` are of its arrays. InputError where it is none, with `remedy` behind that."""

    def __init__(self, path: Path, remedy: str) -> None:
        self._path, self._remedy = path, remedy
        file = open(str(regular_file(path)), "rb")  # noqa: SIM115  (it is open until the last array is read)
        try:
            self._archive = zipfile.ZipFile(file)
            self.names = frozenset(name[:-4] for name in self._archive.namelist() if name.endswith(".npy"))
        except Exception as error:  # what zipfile raises on a damaged file is no closed list
            file.close()
            raise self._not_whole(error) from None
        self._file: IO[bytes] = file

    def read(self, name: str) -> np.ndarray:
        """An array. InputError where it is missing or cannot be read."""
        if name not in self.names:
            raise InputError(f"{self._path}: array {name} is missing; {self._remedy}")
        # twice: as it is unpacked, and as an array; a small file can say that it holds any number
        require_memory(f"{self._path}: array {name}", 2 * self._archive.getinfo(f"{name}.npy").file_size)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what numpy has to say of an odd head is of no use here
                # np.load of numpy 1.19 prints a traceback of its own on a cut file
                return np.lib.format.read_array(io.BytesIO(self._archive.read(f"{name}.npy")), allow_pickle=False)
        except Exception as error:  # nor is what zlib and numpy raise
            raise self._not_whole(error, f": array {name} cannot be read") from None

    def close(self) -> None:
        self._archive.close()
        self._file.close()

    def _not_whole(self, error: Exception, where: str = "") -> InputError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return InputError(f"{self._path}: not a whole .npz file{where} ({reason}); {self._remedy}")


def read_arrays(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """Those of the named arrays that are in a file."""
    file = ArraysFile(path, remedy)
    try:
        return {name: file.read(name) for name in names if name in file.names}
    finally:
        file.close()


def is_names(array: np.ndarray) -> bool:
    """Whether an array is a list of texts."""
    return array.dtype.kind == "U" and array.ndim == 1


def protocol(path: Path, array: np.ndarray, remedy: str) -> dict[str, Any]:
    """The JSON object that an array is the text of. InputError where it is of none that strict JSON can hold."""
    found = json_value(array.item()) if array.dtype.kind == "U" and array.ndim == 0 else None
    try:
        json.dumps(found, allow_nan=False)  # it is copied into reports
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path}: protocol is not the text of a JSON object; {remedy}")
    return found
