"""``qsmbids-step --list``: the methods of a verb as the catalogue has them."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable

from qsmbids.cli.step_arguments import usable_options
from qsmbids.cli.step_verbs import Verb
from qsmbids.methods import DEFAULT_METHODS, Method

_WIDTH = 92


def list_methods(verbs: Iterable[Verb]) -> str:
    """Return the methods of verbs with summaries, files, parameters and defaults."""
    return '\n\n'.join(_one_verb(verb) for verb in verbs)


def _one_verb(verb: Verb) -> str:
    lines = [f'{verb.name}: {verb.summary}']
    for method in verb.methods():
        lines.append('')
        lines += _one_method(verb, method)
    if len(lines) == 1:
        lines += ['', '  no method yet']
    return '\n'.join(lines)


def _one_method(verb: Verb, method: Method) -> list[str]:
    default = ' (default of the app)' if DEFAULT_METHODS.get(verb.stage) == method.name else ''
    needed, others = usable_options(verb, method)
    defaults = dataclasses.asdict(method.parameter_class()())
    parameters = ', '.join(f'{key}={_shown(value)}' for key, value in defaults.items())
    lines = [f'  {method.name}{default}', f'    {method.label}: {method.summary}']
    if method.field == 'total':
        lines.append('    --field is the total field: the background is removed as well')
    lines.append(f'    needs       {", ".join(needed)}')
    if others:
        lines.append(f'    can use     {", ".join(others)}')
    lines += textwrap.wrap(
        parameters or 'none', _WIDTH,
        initial_indent='    parameters  ', subsequent_indent=' ' * 16,
    )  # fmt: skip
    lines.append(f'    memory      about {method.bytes_per_voxel} bytes per voxel')
    return lines


def _shown(value: object) -> str:
    """Return a default as it would be typed."""
    if isinstance(value, tuple):
        return ','.join(str(v) for v in value)
    return str(value)
