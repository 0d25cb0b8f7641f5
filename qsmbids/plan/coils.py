"""Uncombined receive coils: images whose fourth axis is neither echo nor time.

BIDS has no name for them. They are told from the files: each echo has a file of its own for
magnitude and phase (or real and imaginary part) with one echo time, and all files have the
same fourth axis. A 4-D file with a list of as many echo times holds echoes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from qsmbids.plan.echoes import EchoFiles
from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo
from qsmbids.plan.metadata import is_number
from qsmbids.plan.sidecars import Sidecar

MIN_ECHOES = 2  # the phase offset of a coil is what does not grow from echo to echo


def count_coils(
    pairs: Sequence[EchoFiles],
    images: Mapping[Path, ImageInfo],
    sidecars: Mapping[Path, Sidecar],
    findings: Findings,
) -> int:
    """Return the number of receive coils that were stored one by one.

    Parameters
    ----------
    pairs : sequence of EchoFiles
        Files by echo.
    images : mapping of Path to ImageInfo
        What the headers said.
    sidecars : mapping of Path to Sidecar
        Merged metadata per file.
    findings : Findings
        Receives UNCOMBINED_COILS (note).

    Returns
    -------
    int
        1 for images that are combined, and for those whose fourth axis is something else.
    """
    paths = [path for pair in pairs for path in pair.paths]
    sizes = {images[path].n_volumes for path in paths if not images[path].problem}
    complex_signal = all(pair.parts.keys() & {'phase', 'real'} for pair in pairs)
    one_time_each = all(is_number(sidecars[path].values.get('EchoTime')) for path in paths)
    if len(pairs) < MIN_ECHOES or len(sizes) != 1 or not (complex_signal and one_time_each):
        return 1
    n_coils = sizes.pop()
    if n_coils > 1:
        findings.note(
            'UNCOMBINED_COILS',
            f'Each echo holds {n_coils} volumes, which are taken for uncombined receive coils.',
            'The phase offset of each is measured and removed before they are added up.',
            'If they are repetitions they are averaged in the same way; save coils or '
            'repetitions that should be left out in another folder.',
            paths[0],
        )
    return n_coils
