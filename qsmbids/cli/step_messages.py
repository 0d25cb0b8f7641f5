"""What ``qsmbids-step`` says to a person: errors in three lines, notes, progress."""

from __future__ import annotations

import sys

from qsmbids.cli import exit_codes

_WIDTH = 60  # of the text behind the percentage


class StepError(Exception):
    """Something a person can mend.

    Parameters
    ----------
    what, why, fix : str
        What is wrong, why it matters, what to do.
    code : int
        Exit code: :data:`~qsmbids.cli.exit_codes.USAGE` for the command line,
        :data:`~qsmbids.cli.exit_codes.NOTHING_USABLE` for the data.
    """

    def __init__(self, what: str, why: str, fix: str, code: int = exit_codes.USAGE) -> None:
        super().__init__('\n'.join((what, why, fix)))
        self.code = code


def unusable(what: str, why: str, fix: str) -> StepError:
    """Return the error of data that cannot be used."""
    return StepError(what, why, fix, exit_codes.NOTHING_USABLE)


def note(text: str) -> None:
    """Tell what was decided or looks odd; on stderr, so that pipes stay clean."""
    print(text, file=sys.stderr, flush=True)


class ProgressLine:
    """A line that rewrites itself, if stderr is a terminal; nothing otherwise."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.live = sys.stderr.isatty()

    def __call__(self, fraction: float, text: str) -> None:
        """Show how far the method is."""
        if self.live:
            line = f'{self.title} [{100 * fraction:3.0f} %] {text[:_WIDTH]:<{_WIDTH}}'
            print(f'\r{line}', end='', file=sys.stderr, flush=True)

    def close(self) -> None:
        """Empty the line."""
        if self.live:
            print(f'\r{"":<{len(self.title) + 8 + _WIDTH}}\r', end='', file=sys.stderr, flush=True)
