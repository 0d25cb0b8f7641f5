"""The table at the end of a run: who is complete, who is not, why, and where to look."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qsmbids.execution.estimate import clock, typical

COMPLETE, KEPT, FAILED, LEFT_OUT = 'complete', 'kept', 'FAILED', 'LEFT OUT'

_MANY = 40  # rows of one sort that are still read one by one
_EXAMPLES = 10  # rows that are shown of those with one and the same trouble, when there are many
_LEAST_WIDTH = 50


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    key : str
        Participant or acquisition.
    outcome : str
        'complete', 'kept' (finished by an earlier run), 'FAILED' or 'LEFT OUT'.
    seconds : float or None
        Time it took.
    peak_gb : float or None
        Highest memory.
    where : str
        Where to look: report page, log or crash file.
    reason : str
        What went wrong; may have several lines.
    """

    key: str
    outcome: str
    seconds: float | None = None
    peak_gb: float | None = None
    where: str = ''
    reason: str = ''


def render_summary(rows: Sequence[Row], width: int) -> str:
    """Return the table as text.

    Troubles are always listed. Rows without are counted when there are many, and of many that
    failed for the same reason only the first are shown.

    Parameters
    ----------
    rows : sequence of Row
    width : int
        Columns of the terminal.
    """
    if not rows:
        return 'There was nothing to do.\n'
    width = max(width, _LEAST_WIDTH)
    fine = [row for row in rows if row.outcome in (COMPLETE, KEPT)]
    trouble = [row for row in rows if row.outcome not in (COMPLETE, KEPT)]
    shown, more = _examples(trouble)
    # in the order of the rows, unless those without trouble are only counted
    listed = [row for row in rows if row in set(shown) or row.outcome in (COMPLETE, KEPT)]
    if len(fine) > _MANY:
        listed = shown
    column = min(max((len(row.key) for row in listed), default=0), max(16, width * 2 // 5))
    lines = []
    if listed:
        head = f'{"":<{column}}  {"outcome":<8}  {"time":>8}  {"memory":>8}'
        last = '  where to look'
        lines.append(head + last if len(head + last) <= width else head)
    for row in listed:
        lines += _lines(row, column, width)
        lines += _more(more.get(row, ()), column, width)
    lines += ['', *textwrap.wrap(_counts(rows), width), *_cost(rows, width)]
    return '\n'.join(lines).strip('\n') + '\n'


def _lines(row: Row, column: int, width: int) -> list[str]:
    """Return a row; a name longer than its column has a line to itself."""
    memory = '' if row.peak_gb is None else f'{row.peak_gb:.2f} GB'
    time = '' if row.seconds is None else clock(row.seconds)
    name = row.key if len(row.key) <= column else ''
    text = f'{name:<{column}}  {row.outcome:<8}  {time:>8}  {memory:>8}'
    lines = [] if name else [row.key]
    # a path is never cut: it must be possible to copy it
    if len(text) + 2 + len(row.where) <= width:
        lines.append(f'{text}  {row.where}'.rstrip())
    else:
        lines += [text.rstrip(), f'    {row.where}']
    for line in row.reason.splitlines():
        lines += textwrap.wrap(
            line, width, initial_indent='    ', subsequent_indent='    ',
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return lines


def _examples(trouble: Sequence[Row]) -> tuple[list[Row], dict[Row, list[Row]]]:
    """Return the rows to show, and the last of each sort with those that it stands for."""
    if len(trouble) <= _MANY:
        return list(trouble), {}
    sorts: dict[tuple[str, str], list[Row]] = {}
    for row in trouble:
        sorts.setdefault((row.outcome, row.reason), []).append(row)
    shown = {row for rows in sorts.values() for row in rows[:_EXAMPLES]}
    more = {
        rows[_EXAMPLES - 1]: rows[_EXAMPLES:] for rows in sorts.values() if len(rows) > _EXAMPLES
    }
    return [row for row in trouble if row in shown], more


def _more(rows: Sequence[Row], column: int, width: int) -> list[str]:
    """Return the names of rows that have the same trouble as the one above."""
    if not rows:
        return []
    names = f'the same for {len(rows)} more: {" ".join(row.key for row in rows)}'
    return textwrap.wrap(
        names, width, initial_indent='    ', subsequent_indent='    ',
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _counts(rows: Sequence[Row]) -> str:
    found = Counter(row.outcome for row in rows)
    known = {
        COMPLETE: '', KEPT: ' from an earlier run', FAILED: '', LEFT_OUT: '',
    }  # fmt: skip
    parts = [f'{found[name]} {name}{words}' for name, words in known.items() if found[name]]
    return f'{len(rows)} in all: {", ".join(parts)}.'


def _cost(rows: Sequence[Row], width: int) -> list[str]:
    """Return what those that were worked on took, when there are several."""
    times = [row.seconds for row in rows if row.outcome == COMPLETE and row.seconds is not None]
    if len(times) < 2:
        return []
    text = f'Time of one: {clock(min(times))} to {clock(max(times))}, '
    text += f'typically {clock(typical(times))}'
    peaks = [row.peak_gb for row in rows if row.peak_gb is not None]
    text += f'; highest memory of a step {max(peaks):.2f} GB.' if peaks else '.'
    return textwrap.wrap(text, width)
