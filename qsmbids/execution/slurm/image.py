"""What is wrong with the file of an image, told before anything is submitted."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

from qsmbids.execution.slurm.errors import SlurmError

_ADDRESS = re.compile(r'[a-z-]+://|docker-(archive|daemon):|oci(-archive)?:')
_HEAD = 128  # bytes of the header of a SIF file
_SIF = slice(32, 41), b'SIF_MAGIC'
_SIF_DATA = struct.Struct('<2q')  # where the data begin, and how long they are
_SIF_DATA_AT = 112
_SQUASHFS = b'hsqs'
_EXT3 = slice(1080, 1082), b'\x53\xef'


def checked_image(given: str) -> Path:
    """Return the absolute path of an image that Apptainer can run.

    Raises
    ------
    SlurmError
        If it cannot: every job would end before it began.
    """
    if _ADDRESS.match(given):
        raise SlurmError(
            f'--image {given} is an address, and a file is needed.\n'
            'Each job would fetch and convert it anew.\n'
            f'Make a file of it once, and give that: apptainer build qsmbids.sif {given}'
        )
    path = Path(os.path.realpath(given))
    trouble = _trouble(path)
    if trouble:
        raise SlurmError(
            f'{trouble}\n'
            'The jobs run in it (--image), and none of them could begin.\n'
            'Correct the path, or make the file: docs/installation.md says how.'
        )
    return path


def _trouble(path: Path) -> str:
    """Return what is wrong with a file, or ''."""
    if not os.path.exists(path):  # no error either where a folder cannot be read
        return f'There is no image {path}.'
    if os.path.isdir(path / '.singularity.d'):
        return ''  # an image that was unpacked
    if not os.path.isfile(path):
        return f'The image {path} is no file.'
    try:
        size = path.stat().st_size
        with open(path, 'rb') as stream:
            head = stream.read(_EXT3[0].stop)
    except OSError as error:
        return f'The image {path} cannot be read: {error.strerror}.'
    if len(head) >= _HEAD and head[_SIF[0]] == _SIF[1]:
        begin, length = _SIF_DATA.unpack_from(head, _SIF_DATA_AT)
        if size < begin + length:
            return f'The image {path} is cut off: it has {size} bytes of {begin + length}.'
        return ''
    # forms of old: with or without a line for the shell in front
    if head.startswith((_SQUASHFS, b'#!')) or head[_EXT3[0]] == _EXT3[1]:
        return ''
    return f'{path} is no image of Apptainer.'
