"""Reading of tab-separated tables."""

from __future__ import annotations

import csv
from pathlib import Path


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a TSV file as text by column name.

    Parameters
    ----------
    path : Path
        With a heading line; may start with a byte-order mark.

    Returns
    -------
    list of dict
        ``n/a`` is kept as it stands; cells that are missing at the end of a line are ``''``.

    Raises
    ------
    ValueError
        If the file is not text or has no heading.
    """
    try:
        with open(path, encoding='utf-8-sig', newline='') as stream:
            reader = csv.DictReader(stream, delimiter='\t', restval='')
            rows = [{k: v for k, v in row.items() if k is not None} for row in reader]
            heading = reader.fieldnames
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f'{path} cannot be read: {error}.\n'
            'It should be a tab-separated table in UTF-8.\n'
            'Delete it and run the participant level again.'
        ) from None
    if not heading:
        raise ValueError(
            f'{path} is empty.\n'
            'A table has at least a line with the names of its columns.\n'
            'Delete it and run the participant level again.'
        )
    return rows
