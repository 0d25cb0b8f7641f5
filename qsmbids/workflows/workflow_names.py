"""Names of workflows, which are names of folders too."""

from __future__ import annotations

import re
import zlib


def workflow_name(key: str) -> str:
    """Return a name that Nipype accepts; what had to be replaced is kept apart by a checksum.

    Examples
    --------
    >>> workflow_name('sub-01_run-2')
    'sub_01_run_2_wf'
    >>> workflow_name('sub-01_acq-a+b') != workflow_name('sub-01_acq-a_b')
    True
    """
    name = re.sub(r'[^A-Za-z0-9]', '_', key)
    if re.search(r'[^A-Za-z0-9_-]', key):
        name += f'_{zlib.crc32(key.encode()):08x}'
    return f'{name}_wf'
