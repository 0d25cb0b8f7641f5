"""The norm file: norms as JSON, the same bytes for the same norms.

The top level says what kind of file it is and what its values may be compared with; each region
has its table by age. Numbers are rounded to 1e-7 (0.1 parts per trillion), far below
any measurement. A reader must refuse a file whose ``schema_version`` starts with another number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.norm_check import check_norm_set
from qsmbids.lifespan.norms import Norm, NormSet

FORMAT = 'qsmbids-norms'
SCHEMA_VERSION = '1.0'
_DIGITS = 7
# a list of numbers over several lines; no text can hold a bare line end in JSON
_NUMBERS = re.compile(r'\[\n\s*((?:[-+.0-9eE]+,?\s+)+)\]')
_MAP_TEXTS = ('atlas', 'measure', 'hemispheres', 'reference', 'units')
_COLUMNS = ('age', 'mean', 'sd', 'mean_se', 'df')


def to_json(norms: NormSet) -> str:
    """Return the text of a norm file, with a line end.

    Examples
    --------
    >>> norm = Norm('Putamen', 'B', age=(20, 80), mean=(0.04, 0.08), sd=(0.01, 0.01))
    >>> norms = NormSet((norm,), 'mine', 'QSMLifespan', 'csf', 3.0)
    >>> from_json(to_json(norms)) == norms
    True
    """
    content = {
        'format': FORMAT,
        'schema_version': SCHEMA_VERSION,
        'name': norms.name,
        'notice': norms.notice,
        'provenance': dict(norms.provenance),
        'map': {
            **{name: getattr(norms, name) for name in _MAP_TEXTS},
            'field_strength_t': norms.field_strength_t,
            'follows_reference': norms.follows_reference,
        },
        'regions': [_region(norm) for norm in norms.norms],
    }
    text = json.dumps(_bare(content), indent=1, ensure_ascii=False, allow_nan=False)
    return _columns_in_one_line(text) + '\n'


def from_json(text: str, source: str = 'the norm file') -> NormSet:
    """Read the text of a norm file and check it.

    Parameters
    ----------
    text : str
    source : str
        Name of the file, for messages.

    Raises
    ------
    LifespanError
        In three lines, if the text is no norm file of this schema, or not complete.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _no_norm_file(source, f'is no JSON ({error})') from None
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise _no_norm_file(source, f'does not say "format": "{FORMAT}"')
    version = str(content.get('schema_version', ''))
    if version.partition('.')[0] != SCHEMA_VERSION.partition('.')[0]:
        raise LifespanError(
            f'{source} has schema version {version or "none"}; {SCHEMA_VERSION} is known here.',
            'Its numbers may mean something else than this program takes them for.',
            'Use a version of qsmbids that knows this schema, or make the file again.',
        )
    try:
        about = content['map']
        strength = about['field_strength_t']
        norms = NormSet(
            norms=tuple(_norm(region) for region in content['regions']),
            name=str(content['name']),
            notice=str(content.get('notice', '')),
            provenance=dict(content['provenance']),
            field_strength_t=None if strength is None else float(strength),
            follows_reference=_truth(about.get('follows_reference', False)),
            **{name: _text(about[name]) for name in _MAP_TEXTS},
        )
    except KeyError as error:
        raise _no_norm_file(source, f'has no entry {error}') from None
    except (TypeError, ValueError, AttributeError) as error:
        raise _no_norm_file(source, f'has an entry of the wrong kind ({error})') from None
    return check_norm_set(norms, source)


def _region(norm: Norm) -> dict[str, Any]:
    table = {name: list(getattr(norm, name)) for name in _COLUMNS if getattr(norm, name)}
    return {
        'region': norm.region,
        'hemisphere': norm.hemisphere,
        'group': norm.group,
        'n': norm.n,
        'model': dict(norm.model),
        'table': table,
    }


def _norm(region: Mapping[str, Any]) -> Norm:
    table = region['table']
    return Norm(
        region=_text(region['region']),
        hemisphere=_text(region['hemisphere']),
        group=str(region.get('group', '')),
        n=int(region['n']),
        model=dict(region.get('model', {})),
        **{
            name: tuple(float(v) for v in table.get(name, ()))
            if name in ('mean_se', 'df')
            else tuple(float(v) for v in table[name])
            for name in _COLUMNS
        },
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f'{value!r} instead of a text')
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f'{value!r} instead of true or false')
    return value


def _bare(value: Any) -> Any:
    """Return plain JSON types: rounded numbers, and null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _bare(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_bare(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), _DIGITS) if np.isfinite(value) else None
    return value


def _columns_in_one_line(text: str) -> str:
    """Join lists of numbers, so that a person can read the file and compare two of them."""
    return _NUMBERS.sub(lambda found: '[' + ' '.join(found[1].split()) + ']', text)


def _no_norm_file(source: str, what: str) -> LifespanError:
    return LifespanError(
        f'{source} {what}.',
        'It cannot be used as norms.',
        'Give a file that --fit-norms wrote, or correct it: the format is in docs/norms.md.',
    )
