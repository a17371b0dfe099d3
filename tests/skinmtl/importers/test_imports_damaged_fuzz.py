"""Each importer's tables, damaged: an import, or InputError."""

from __future__ import annotations

import pytest
from fuzzing import mutated_bytes, mutated_lines
from test_importers_fuzz import FOLDER_OF, SAMPLES, write_images

from skinmtl.importers.importing import import_dataset
from skinmtl.importers.registry import importers


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_damaged_table(fuzzer, sample):
    options, tables = SAMPLES[sample]
    importer = importers()[sample.split()[0]]
    write_images(fuzzer.folder, sample)
    for name, text in tables.items():
        (fuzzer.folder / name).write_text(text, encoding="utf-8")

    def read(path):
        import_dataset(importer, path.parent, options, metadata_only=sample not in FOLDER_OF)

    for name, text in tables.items():
        others = [other for other in tables if other != name]
        mutate = lambda chance, data: (mutated_lines if chance.random() < 0.7 else mutated_bytes)(chance, data)  # noqa: E731
        fuzzer.run(name, read, [text.encode()], mutate, named=(str(fuzzer.folder), *others), share=1 / len(tables))
        (fuzzer.folder / name).write_text(text, encoding="utf-8")
