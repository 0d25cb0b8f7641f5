"""The catalogue of methods: one entry for each, read by everything that names a method.

Command-line choices, ``--param``, sidecars, the methods text of the report and the table in
the documentation all come from here, and the parameter dataclass an entry points to is the
one place of its defaults. Functions are named by their import path, so that listing the
catalogue (``--help``) does not import the engine.
"""

from __future__ import annotations

import dataclasses

from qsmbids.methods.catalogue import CATALOGUE, DEFAULT_METHODS, STAGES
from qsmbids.methods.method import Method

__all__ = [
    'CATALOGUE', 'DEFAULT_METHODS', 'STAGES', 'Method', 'get', 'markdown_table', 'names',
]  # fmt: skip


def names(stage: str) -> list[str]:
    """Return the names of all methods of a stage, its default (if it has one) first.

    Examples
    --------
    >>> names('fieldmap')
    ['weighted', 'nonlinear']
    """
    found = [m.name for m in CATALOGUE if m.stage == stage]
    return sorted(found, key=lambda name: name != DEFAULT_METHODS.get(stage))


def get(stage: str, name: str) -> Method:
    """Return one method.

    Raises
    ------
    ValueError
        If there is none of that name, with the names that exist.
    """
    for method in CATALOGUE:
        if method.stage == stage and method.name == name:
            return method
    if stage not in STAGES:
        raise ValueError(f'There is no stage {stage!r}. Stages are: {", ".join(STAGES)}.')
    raise ValueError(
        f'There is no {stage} method {name!r}. Choose from: {", ".join(names(stage))}.'
    )


def markdown_table() -> str:
    """Return all methods with their parameters and defaults, as in ``docs/processing.md``."""
    lines = ['| stage | method | what it does | parameters and defaults |', '|---|---|---|---|']
    for method in CATALOGUE:
        defaults = dataclasses.asdict(method.parameter_class()())
        shown = ', '.join(f'`{key}={value}`' for key, value in defaults.items())
        default = ' (default)' if DEFAULT_METHODS.get(method.stage) == method.name else ''
        lines.append(
            f'| {method.stage} | `{method.name}`{default} | {method.label}: {method.summary} '
            f'| {shown or "none"} |'
        )
    return '\n'.join(lines)
