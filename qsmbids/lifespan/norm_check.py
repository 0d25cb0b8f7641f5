"""Whether norms can be used: each fault is told in three lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.norm_prior import prior_norms
from qsmbids.lifespan.norms import Norm, NormSet

HEMISPHERES = ('average', 'separate')


def check_norm_set(norms: NormSet, source: str) -> NormSet:
    """Return a set that can be used.

    Raises
    ------
    LifespanError
        If it has no norm, a region twice, a table that makes no sense, or follows the
        reference without being the built-in prior.
    """
    if not norms.norms:
        raise _broken(source, 'holds no region')
    if norms.hemispheres not in HEMISPHERES:
        raise _broken(source, f'has hemispheres "{norms.hemispheres}", not average or separate')
    if len(norms.by_region) != len(norms.norms):
        raise _broken(source, 'holds a region twice')
    for norm in norms.norms:
        fault = _fault(norm)
        if fault:
            raise _broken(source, f'has for {norm.region} {fault}')
    if norms.follows_reference and _meaning(norms) != _meaning(prior_norms()):
        raise LifespanError(
            f'{source} has "follows_reference": true and is not the built-in prior.',
            'Such norms would be compared with maps of any reference, field strength and atlas.',
            'Set it to false; for the built-in prior of this version give --norms prior.',
        )
    return norms


def _meaning(norms: NormSet) -> dict[str, Any]:
    """Return all that decides on scores and their label, without where it comes from."""
    tables = [(n.region, n.hemisphere, n.age, n.mean, n.sd, n.mean_se, n.df) for n in norms.norms]
    about = {k: v for k, v in vars(norms).items() if k not in ('provenance', 'by_region')}
    return about | {'norms': tables}


def _fault(norm: Norm) -> str:
    """Return what is wrong with the table of a norm, or nothing."""
    columns = {'mean': norm.mean, 'sd': norm.sd, 'mean_se': norm.mean_se, 'df': norm.df}
    if not norm.region or norm.hemisphere not in ('L', 'R', 'B'):
        return f'the hemisphere "{norm.hemisphere}", which is not L, R or B'
    if len(norm.age) < 2:
        return 'fewer than two ages'
    for name, column in columns.items():
        if len(column) != len(norm.age) and (column or name in ('mean', 'sd')):
            return f'{len(norm.age)} ages but {len(column)} values of {name}'
    if not all(np.isfinite(column).all() for column in (norm.age, *columns.values())):
        return 'a value that is no finite number'
    if norm.age[0] < 0 or (np.diff(norm.age) <= 0).any():
        return 'ages that are negative or do not rise'
    if min(norm.sd) <= 0:
        return 'a standard deviation that is not above zero'
    if min(norm.mean_se, default=0.0) < 0 or min(norm.df, default=1.0) <= 0:
        return 'a standard error below zero or degrees of freedom that are not above zero'
    return ''


def _broken(source: str, what: str) -> LifespanError:
    return LifespanError(
        f'{source} {what}.',
        'Nobody can be compared with a norm that is not complete.',
        'Make the file again with --fit-norms, or correct it: the format is in docs/norms.md.',
    )
