"""The filter file: which images may be used, in the words of BIDS entities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qsmbids.plan.filenames import NAME_ORDER, BidsName, comparable

FILTER_KEYS = ('megre', 't1w')
# the long names that PyBIDS (and so every other filter file) uses
LONG_NAMES = {
    'subject': 'sub',
    'session': 'ses',
    'acquisition': 'acq',
    'ceagent': 'ce',
    'reconstruction': 'rec',
    'direction': 'dir',
    'inversion': 'inv',
    'mtransfer': 'mt',
}
# what is not an entity but can be asked for too
_ATTRIBUTES = ('suffix', 'datatype', 'extension')

Filter = dict[str, Any]


def read_filters(filters: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Filter]:
    """Check the content of a filter file and bring it into short entity names.

    Parameters
    ----------
    filters : mapping or None
        ``{'megre': {...}, 't1w': {...}}``; inside, entity names (short or long), ``suffix``,
        ``datatype`` or ``extension`` with the wanted value, a list of wanted values,
        None (the entity must be absent) or ``'*'`` (present with any value).

    Returns
    -------
    dict
        Both keys, with an empty filter where none was given.

    Raises
    ------
    ValueError
        For a key or entity that does not exist.

    Examples
    --------
    >>> read_filters({'megre': {'acquisition': 'hires', 'run': 1}})
    {'megre': {'acq': 'hires', 'run': 1}, 't1w': {}}
    """
    if filters is not None and not isinstance(filters, Mapping):
        raise ValueError(f'The filter file must hold a JSON object, not {filters!r}.')
    checked: dict[str, Filter] = {key: {} for key in FILTER_KEYS}
    for key, conditions in (filters or {}).items():
        if key not in FILTER_KEYS:
            raise ValueError(
                f'Unknown key "{key}" in the filter file.\n'
                'A misspelt key would silently select everything.\n'
                f'Use {_quoted(FILTER_KEYS)}.'
            )
        if not isinstance(conditions, Mapping):
            raise ValueError(f'"{key}" in the filter file must be an object, not {conditions!r}.')
        for name, wanted in conditions.items():
            short = LONG_NAMES.get(name, name)
            if short not in NAME_ORDER and short not in _ATTRIBUTES:
                raise ValueError(
                    f'Unknown entity "{name}" under "{key}" in the filter file.\n'
                    'A misspelt entity would silently select everything.\n'
                    f'Use {_quoted((*NAME_ORDER, *_ATTRIBUTES))} or the long names '
                    f'{_quoted(LONG_NAMES)}.'
                )
            checked[key][short] = wanted
    return checked


def matches(name: BidsName, conditions: Filter) -> bool:
    """Tell whether a file satisfies every condition of a checked filter.

    Examples
    --------
    >>> name = BidsName.parse('sub-01_acq-a_run-02_MEGRE.nii.gz')
    >>> matches(name, {'run': 2, 'ce': None, 'acq': '*'}), matches(name, {'acq': ['b', 'c']})
    (True, False)
    """
    return all(_satisfies(name, key, wanted) for key, wanted in conditions.items())


def _satisfies(name: BidsName, key: str, wanted: Any) -> bool:
    value = getattr(name, key) if key in _ATTRIBUTES else name.get(key)
    if wanted is None:
        return value == ''
    if wanted == '*':
        return value != ''
    choices = wanted if isinstance(wanted, list | tuple) else [wanted]
    if key == 'extension':
        return value.lstrip('.') in [str(c).lstrip('.') for c in choices]
    # labels may be written with their key, as in "sub-01"
    return value in [comparable(key, str(c).removeprefix(f'{key}-')) for c in choices if c != '']


def _quoted(names: Iterable[str]) -> str:
    return ', '.join(f'"{name}"' for name in names)
