"""Errors of files and memory inside a step, put into words that a person can act on.

What a library says of a cut file ("buffer is smaller than requested size", "Expected 5 bytes,
got 3") does not name it. When a step has failed with an error that is not ours, its input
images are therefore read once more, and the one that cannot be is named.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qsmbids.execution.io_errors import damaged, explain

_IMAGES = ('.nii', '.nii.gz')
_CHUNK = 1 << 22


@contextlib.contextmanager
def in_words(inputs: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """Turn errors of files and memory into a ValueError with three lines.

    Parameters
    ----------
    inputs : mapping
        The inputs of the step; strings in them that are absolute paths may be files.
    folder : Path
        Where the step writes.

    Raises
    ------
    ValueError
        With three lines. Errors that say enough, or have another reason, pass unchanged.
    """
    try:
        yield
    except Exception as error:
        text = explain(error, folder)
        ours = isinstance(error, ValueError) and '\n' in str(error)
        if not text and not ours:
            text = next(_damage(inputs), '')
        if text:
            raise ValueError(text) from error
        raise


def _damage(inputs: Mapping[str, Any]) -> Iterator[str]:
    for path in dict.fromkeys(_paths(inputs)):
        try:
            _read_to_the_end(path)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            yield explain(error) or damaged(path, str(error).rstrip('.') or 'it is empty')


def _paths(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        if os.path.isabs(content) and content.endswith((*_IMAGES, '.json')):
            yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _paths(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _paths(value)


def _read_to_the_end(path: str) -> None:
    """Read a file as its users do.

    Raises
    ------
    OSError, EOFError, ValueError, zlib.error
        If that cannot be done.
    """
    os.stat(path)  # of a file that is not there nibabel says less than the system
    if path.endswith('.json'):
        json.loads(Path(path).read_bytes())
        return
    import nibabel as nib

    try:
        image = nib.load(path)
    except nib.filebasedimages.ImageFileError as error:
        raise ValueError('it is empty or no image') from error
    header, offset = image.header, int(image.dataobj.offset)
    size = offset + header.get_data_dtype().itemsize * _product(image.shape)
    with gzip.open(path) if path.endswith('.gz') else Path(path).open('rb') as stream:
        found = 0
        while chunk := stream.read(_CHUNK):
            found += len(chunk)
    if found < size:
        raise ValueError(f'it ends after {found} of {size} bytes')


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= int(n)
    return total
