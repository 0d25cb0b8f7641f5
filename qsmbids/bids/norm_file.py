"""Norm files on disk; what is in them is the business of :mod:`qsmbids.lifespan.norms`."""

from __future__ import annotations

from pathlib import Path

from qsmbids.bids.write import write_text
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.norm_check import check_norm_set
from qsmbids.lifespan.norm_prior import prior_norms
from qsmbids.lifespan.norms import NormSet

PRIOR = 'prior'  # names the built-in engineering prior


def read_norms(file: str | Path) -> NormSet:
    """Read a norm file, or return the built-in prior.

    Parameters
    ----------
    file : str or Path
        A file, or ``'prior'``.

    Raises
    ------
    LifespanError
        If there is no such file, or it is no norm file.
    """
    if str(file) == PRIOR:
        return prior_norms()
    path = Path(file)
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'not text in UTF-8'
        raise LifespanError(
            f'The norm file {path} cannot be read: {reason}.',
            'Without it there are no z-scores.',
            f'Give the path of a norm file, or "{PRIOR}" for the built-in one.',
        ) from None
    return NormSet.from_json(text, str(path))


def write_norms(path: Path, norms: NormSet) -> None:
    """Write a norm file; equal norms give equal bytes."""
    check_norm_set(norms, str(path))
    write_text(Path(path), norms.to_json())
