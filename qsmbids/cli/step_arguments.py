"""What the functions of the engine ask for, by the name of the argument.

A function of the catalogue says with its signature what it needs: ``phase``, ``mask``,
``grid`` ... The table here tells for each name from which files it comes and how it is read,
so a new entry of the catalogue needs nothing here unless it asks for something new.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from qsmbids.cli.step_messages import StepError
from qsmbids.cli.step_read import Reader
from qsmbids.cli.step_verbs import INPUTS, Verb
from qsmbids.methods import Method

_NOT_DATA = ('parameters', 'progress')


@dataclass(frozen=True)
class Argument:
    """How to get one argument.

    Parameters
    ----------
    read : callable
        Makes the value from a :class:`Reader`.
    options : tuple of sets of str
        Input files that it is made from: one of these sets has to be given. None are needed
        for an empty set.
    is_map : bool
        False for facts of the scan, which a function gets whenever it asks for them and they
        are known.
    instead_of : str
        Another argument that a function does not get as well if it gets this one; it must be
        made from a part of the same files.
    """

    read: Callable[[Reader], Any]
    options: tuple[frozenset[str], ...]
    is_map: bool = True
    instead_of: str = ''


def _map(read: Callable[[Reader], Any], *ways: str) -> Argument:
    return Argument(read, tuple(frozenset(way.split()) for way in ways))


def _fact(read: Callable[[Reader], Any]) -> Argument:
    return Argument(read, (frozenset(),), is_map=False)


def _volume(option: str) -> Argument:
    return _map(lambda r: r.volume(option), option)


ARGUMENTS: dict[str, Argument] = {
    'phase': _map(Reader.phase, 'phase'),
    'magnitude': _map(lambda r: r.echoes('magnitude'), 'magnitude'),
    'magnitude_rss': _map(Reader.magnitude_rss, 'magnitude'),
    'unwrapped': _map(lambda r: r.echoes('unwrapped'), 'unwrapped'),
    'quality': _map(Reader.quality, 'quality', 'phase magnitude'),
    'mask': _map(Reader.mask, 'mask'),
    'region_mask': _map(Reader.region_mask, 'region', ''),
    'csf_mask': _map(Reader.region_mask, 'region'),
    'field': _map(Reader.field, 'field'),
    'field_hz': _map(lambda r: r.in_unit('field', 'Hz'), 'field'),
    'local_field_hz': _map(lambda r: r.in_unit('field', 'Hz'), 'field'),
    'field_ppm': _map(lambda r: r.in_unit('field', 'ppm'), 'field'),
    'local_field_ppm': _map(lambda r: r.in_unit('field', 'ppm'), 'field'),
    'noise_hz': _map(lambda r: r.in_unit('noise', 'Hz'), 'noise'),
    'noise_ppm': _map(lambda r: r.in_unit('noise', 'ppm'), 'noise'),
    'weight': _map(Reader.weight, 'noise'),
    'local_fields_ppm': _map(Reader.fields_ppm, 'field'),
    'masks': _map(Reader.masks, 'mask'),
    'weights': _map(Reader.weights, 'noise'),
    'chi': _volume('chi'),
    'chi_ppm': _volume('chi'),
    'r2star': _volume('r2star'),
    'r2prime': replace(
        _map(Reader.r2prime, 'r2star r2', 'r2star t2', 'r2prime'), instead_of='r2star'
    ),
    'echo_times_s': _fact(Reader.echo_times_s),
    'grid': _fact(Reader.grid),
    'field_hz_per_ppm': _fact(Reader.hz_per_ppm),
    'b0_directions': _fact(lambda r: r.physics.b0_directions()),
}
# of functions that cannot do without it
_REQUIRED = {'field_hz_per_ppm': _fact(lambda r: r.physics.need_frequency())}


@dataclass(frozen=True)
class Binding:
    """What a function will be called with.

    Parameters
    ----------
    arguments : dict of str to Argument
        By the name of the parameter of the function.
    used : frozenset of str
        Options of the files that they are made from.
    """

    arguments: dict[str, Argument]
    used: frozenset[str]


def bind(verb: Verb, method: Method, given: Collection[str]) -> Binding:
    """Decide which arguments the function of a method gets.

    Parameters
    ----------
    verb : Verb
        The sub-command.
    method : Method
        Whose function will be called.
    given : collection of str
        Options of input files that were given.

    Raises
    ------
    StepError
        If something is missing.
    """
    arguments: dict[str, Argument] = {}
    used: set[str] = set()
    for name, argument, required in _wanted(verb, method):
        ways = _ways(verb, argument)
        way = next((way for way in ways if way <= set(given)), None)
        if way is not None:
            arguments[name] = argument
            used |= way
        elif required:
            raise _missing(verb, method, ways) if ways else _impossible(verb, method, name)
    for argument in list(arguments.values()):
        arguments.pop(argument.instead_of, None)
    return Binding(arguments, frozenset(used))


def refuse_unused(
    verb: Verb, used_by: Collection[Method], given: Collection[str], used: Collection[str]
) -> None:
    """Raise StepError for a file that was given and that none of the methods uses."""
    names = ' and '.join(method.name for method in used_by)
    for option in given:
        if option not in used:
            listed = ', '.join(f'--{o}' for o in verb.inputs if o in used)
            raise StepError(
                f'{verb.name} {names} does not use --{option}'
                + (f' beside {listed}.' if listed else '.'),
                'A file that is silently ignored would look as if it had changed the result.',
                f'Leave it out. What each method uses: qsmbids-step {verb.name} --list.',
            )


def usable_options(verb: Verb, method: Method) -> tuple[list[str], list[str]]:
    """Return which files a method needs, and which it can use as well, as they are typed.

    Examples
    --------
    >>> from qsmbids.cli.step_verbs import VERBS
    >>> usable_options(VERBS['mask'], VERBS['mask'].find('quality'))
    (['--quality or --magnitude --phase'], [])
    """
    needed: list[str] = []
    others: set[str] = set()
    for _, argument, required in _wanted(verb, method):
        ways = _ways(verb, argument)
        if required and all(ways):
            needed += [' or '.join(_typed(verb, way) for way in ways)] if ways else []
        else:
            others.update(*ways)
    return needed, [f'--{option}' for option in verb.inputs if option in others]


def _typed(verb: Verb, way: Collection[str]) -> str:
    return ' '.join(f'--{option}' for option in verb.inputs if option in way)


def _ways(verb: Verb, argument: Argument | None) -> list[frozenset[str]]:
    """Return the sets of files of a verb that an argument can be made from."""
    options = argument.options if argument else ()
    return [way for way in options if way <= set(verb.inputs)]


def _wanted(verb: Verb, method: Method) -> list[tuple[str, Argument | None, bool]]:
    """Return name, argument (None: unknown) and whether it is required, of each parameter."""
    wanted = []
    parameters = inspect.signature(method.load()).parameters
    for i, (name, parameter) in enumerate(parameters.items()):
        if name in _NOT_DATA:
            continue
        key = verb.first if verb.first and i == 0 else name
        if key == 'magnitude' and verb.combined:
            key = 'magnitude_rss'
        required = parameter.default is parameter.empty
        argument = ARGUMENTS.get(key)
        if required and key in _REQUIRED:
            argument = _REQUIRED[key]
        is_fact = argument is not None and not argument.is_map
        if required or name in method.takes or is_fact:
            wanted.append((name, argument, required))
    return wanted


def _impossible(verb: Verb, method: Method, name: str) -> StepError:
    return StepError(
        f'{verb.name} {method.name} needs {name!r}, which cannot be given here.',
        'It is made by other steps of the app and not read from one file.',
        f'Choose another method (qsmbids-step {verb.name} --list), or use the app, qsmbids.',
    )


def _missing(verb: Verb, method: Method, ways: list[frozenset[str]]) -> StepError:
    written = [' and '.join(f'--{o}' for o in verb.inputs if o in way) for way in ways]
    option = next(o for o in verb.inputs if o in ways[0])
    return StepError(
        f'{verb.name} {method.name} needs {written[0]}.',
        f'The result is computed from it: {INPUTS[option]}.',
        f'Add {", or ".join(written)}. What each method uses: qsmbids-step {verb.name} --list.',
    )
