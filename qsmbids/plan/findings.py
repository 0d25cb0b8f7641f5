"""A notebook in which the pre-flight checks write what they find."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from qsmbids.plan.models import Issue, Severity

# more file names than this in one sentence help nobody
NAMES_IN_ONE_SENTENCE = 3


class Findings:
    """Issues about one scan, one person or the whole dataset, in the order of finding.

    Checks write into it instead of raising, so that one run tells everything that is
    wrong, and a bad scan never hides a good one.

    Parameters
    ----------
    root : Path
        The dataset; files are named relative to it.
    scope : str
        What the issues are about: ``sub-01_run-2``, ``sub-01`` or '' for the dataset.

    Examples
    --------
    >>> findings = Findings(Path('/data'), 'sub-01')
    >>> findings.warning('ODD', f'{findings.relative("/data/sub-01/x.nii")} is odd.')
    >>> str(findings.issues[0])
    'sub-01: sub-01/x.nii is odd.'
    """

    def __init__(self, root: Path, scope: str = '') -> None:
        self.root = Path(root)
        self._prefix = f'{self.root}/'
        self.scope = scope
        self._issues: list[Issue] = []

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Everything found so far, errors first."""
        order = list(Severity)
        return tuple(sorted(self._issues, key=lambda issue: order.index(issue.severity)))

    @property
    def failed(self) -> bool:
        """Whether an error is among them."""
        return any(issue.severity is Severity.ERROR for issue in self._issues)

    def relative(self, path: str | Path) -> str:
        """Name a file relative to the dataset; one that lies elsewhere keeps its full path."""
        # every check of every file asks for it, and paths as objects are twenty times slower
        text, root = os.fspath(path), self._prefix
        return text[len(root) :] if text.startswith(root) else text

    def listing(self, paths: Iterable[str | Path]) -> str:
        """Name a few files and count the rest: ``a, b, c and 2 more``."""
        names = [self.relative(path) for path in paths]
        shown, rest = names[:NAMES_IN_ONE_SENTENCE], len(names) - NAMES_IN_ONE_SENTENCE
        return ', '.join(shown) + (f' and {rest} more' if rest > 0 else '')

    def error(self, code: str, what: str, why: str, fix: str, path: str | Path = '') -> None:
        """Note what makes processing impossible."""
        self._add(code, Severity.ERROR, what, why, fix, path)

    def warning(
        self, code: str, what: str, why: str = '', fix: str = '', path: str | Path = ''
    ) -> None:
        """Note what a person should look at."""
        self._add(code, Severity.WARNING, what, why, fix, path)

    def note(
        self, code: str, what: str, why: str = '', fix: str = '', path: str | Path = ''
    ) -> None:
        """Note what is good to know."""
        self._add(code, Severity.NOTE, what, why, fix, path)

    def extend(self, issues: Iterable[Issue]) -> None:
        """Take over issues; one that stands there already is not repeated."""
        for issue in issues:
            if issue not in self._issues:  # an inherited sidecar is met once per image
                self._issues.append(issue)

    def _add(self, code, severity, what, why, fix, path) -> None:
        self.extend([Issue(code, severity, what, why, fix, str(path), self.scope)])
