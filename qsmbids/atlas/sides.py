"""Left and right in the names of regions.

A name says its side by a word (``Left Putamen``, ``putamen_right``, ``ctx-lh-cuneus``,
``CaudateLeft``) or by a single letter at its beginning or end (``L_Caudate``, ``GPe-R``). A
single letter is believed only if the table has the same name with the other letter as well:
``SN_r`` alone may be the reticular part of the substantia nigra.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = {'left': 'L', 'lh': 'L', 'right': 'R', 'rh': 'R'}
_LETTERS = {'l': 'L', 'r': 'R'}
_COLUMN = {
    **_WORDS, **_LETTERS, 'b': 'B', 'both': 'B', 'bilateral': 'B', 'midline': 'B', 'm': 'B',
    '': '', 'n/a': '',
}  # fmt: skip
_SEPARATORS = re.compile(r'[\s_.,;:()\[\]/-]+')
_CAMEL = re.compile(
    r'(?<=[a-z0-9])(?=(?:Left|Right)(?![a-z]))|(?<=Left)(?=[A-Z])|(?<=Right)(?=[A-Z])'
)


def split_name(name: str) -> tuple[list[str], str, bool]:
    """Split a name into its words without side, and its side.

    Returns
    -------
    words : list of str
    side : str
        ``L``, ``R`` or '' if the name does not say.
    certain : bool
        Whether a word said it, not a single letter.

    Examples
    --------
    >>> split_name('Left Red Nucleus')
    (['Red', 'Nucleus'], 'L', True)
    >>> split_name('GPe-R')
    (['GPe'], 'R', False)
    >>> split_name('CaudateLeft')
    (['Caudate'], 'L', True)
    """
    words = [word for part in _SEPARATORS.split(name) for word in _CAMEL.split(part) if word]
    found = [place for place, word in enumerate(words) if word.lower() in _WORDS]
    if len(found) == 1 and len(words) > 1:
        side = _WORDS[words.pop(found[0]).lower()]
        return words, side, True
    if found:  # 'left to right': no side
        return words, '', True
    ends = [place for place in (0, len(words) - 1) if words and words[place].lower() in _LETTERS]
    if len(ends) == 1 and len(words) > 1:
        return (
            [w for i, w in enumerate(words) if i != ends[0]],
            _LETTERS[words[ends[0]].lower()],
            False,
        )
    return words, '', True


def sides_of_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Tell side and name without side for all names of a table.

    Returns
    -------
    list of (side, bare name)
        Side ``L``, ``R``, or '' where the name does not say; the bare name is the same for
        both sides of a pair.

    Examples
    --------
    >>> sides_of_names(['L_Caudate', 'R_Caudate', 'SN_r', 'Genu'])
    [('L', 'Caudate'), ('R', 'Caudate'), ('', 'SN_r'), ('', 'Genu')]
    """
    names = list(names)
    split = [split_name(name) for name in names]
    pairs = {(plain(' '.join(words)), side) for words, side, _ in split}
    found = []
    for name, (words, side, certain) in zip(names, split, strict=True):
        other = 'R' if side == 'L' else 'L'
        if side and (certain or (plain(' '.join(words)), other) in pairs):
            found.append((side, _join(name, words)))
        else:
            found.append(('', name))
    return found


def _join(name: str, words: list[str]) -> str:
    """Put words together again with the separator that the name uses."""
    separator = next((sign for sign in (' ', '_', '-', '.') if sign in name), '')
    return separator.join(words)


def side_of_column(text: str) -> str | None:
    """Read an entry of a hemisphere column: L, R, B, '' if empty, None if not understood."""
    return _COLUMN.get(text.strip().lower())


def plain(name: str) -> str:
    """Return a name for comparison: lower case, letters and digits only.

    Examples
    --------
    >>> plain('Globus pallidus, external')
    'globuspallidusexternal'
    """
    return re.sub(r'[\W_]+', '', name).lower()
