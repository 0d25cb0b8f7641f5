"""The works that the methods text can cite, from ``data/references.bib``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_ENTRY = re.compile(r'@(\w+)\{([^,\s]+),\n(.*?)\n\}', re.DOTALL)
_FIELD = re.compile(r'^\s*(\w+) = \{(.*)\},?$', re.MULTILINE)
_SHOWN_AUTHORS = 6


@dataclass(frozen=True)
class Work:
    """One publication."""

    key: str
    author: str
    title: str
    journal: str
    year: str
    volume: str = ''
    pages: str = ''
    doi: str = ''

    @property
    def authors(self) -> str:
        """Names as printed: at most six, then et al.

        Examples
        --------
        >>> Work('k', 'Sun H and Wilman AH', 't', 'j', '2014').authors
        'Sun H, Wilman AH'
        """
        names = self.author.split(' and ')
        if len(names) > _SHOWN_AUTHORS:
            names = [*names[:3], 'others']
        return ', '.join(names).replace(', others', ', et al')

    @property
    def source(self) -> str:
        """Year, volume and pages."""
        text = self.year
        if self.volume:
            text += f';{self.volume}'
        return text + (f':{self.pages}' if self.pages else '')

    @property
    def url(self) -> str:
        """Address of the DOI, or ''."""
        return f'https://doi.org/{self.doi}' if self.doi else ''


@cache
def works() -> dict[str, Work]:
    """Return all works by citation key.

    Raises
    ------
    ValueError
        If an entry lacks author, title, journal, year or DOI.
    """
    text = resources.files('qsmbids.data').joinpath('references.bib').read_text(encoding='utf-8')
    found = {}
    for _, key, body in _ENTRY.findall(text):
        fields = dict(_FIELD.findall(body))
        missing = {'author', 'title', 'journal', 'year', 'doi'} - set(fields)
        if missing:
            raise ValueError(
                f'references.bib: {key} has no {", ".join(sorted(missing))}.\n'
                'A citation without them cannot be found by a reader.\n'
                'Add the field, one per line, with its value in braces.'
            )
        found[key] = Work(key, **fields)
    return found
