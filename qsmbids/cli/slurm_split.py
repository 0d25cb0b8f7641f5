"""Words of a command line, parted into options of qsmbids with their values, and the rest."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.cli.parser import build_parser

_FOLDER_OR_NAME = ('derivatives', 'atlas', 'norms')  # options whose value may be a path


def joined(argv: list[str]) -> list[str]:
    """Bind the value of --sbatch-args to it: it begins with a dash, and so would look lost."""
    found: list[str] = []
    for word in argv:
        if found and found[-1] == '--sbatch-args':
            found[-1] += f'={word}'
        else:
            found.append(word)
    return found


def split(words: Sequence[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Part positional arguments from options; each option with its values, paths absolute."""
    actions = {
        name: action for action in build_parser()._actions for name in action.option_strings
    }
    positional: list[str] = []
    options: list[tuple[str, list[str]]] = []
    rest = iter(_Peek(_detached(words, actions), list(actions)))
    for token in rest:
        name, equals, value = token.partition('=')
        action = actions.get(name) if token.startswith('-') else None
        if action is None and not token.startswith('-'):
            positional.append(token)
            continue
        if action is None:
            options.append(('', [token]))
            continue
        values = [value] if equals else list(_values(rest, action.nargs))
        values = [_absolute(v, action) for v in values]
        joined = [f'{name}={values[0]}'] if equals else [name, *values]
        options.append((action.dest, joined))
    return positional, options


def _detached(words: Sequence[str], actions: Mapping[str, argparse.Action]) -> Iterator[str]:
    """Part short options from what is written right behind them: ``-wDIR``, ``-vw``."""
    for word in words:
        rest = word
        while re.match(r'-[A-Za-z][^=]', rest) and rest[:2] in actions:
            if actions[rest[:2]].nargs != 0:
                rest = f'{rest[:2]}={rest[2:]}'
                break
            yield rest[:2]
            rest = f'-{rest[2:]}'
        yield rest


class _Peek(Iterator[str]):
    """An iterator whose next value can be looked at."""

    def __init__(self, words: Iterable[str], options: Sequence[str]):
        self._words, self._options, self._at = list(words), set(options), 0

    def __next__(self) -> str:
        if self._at >= len(self._words):
            raise StopIteration
        self._at += 1
        return self._words[self._at - 1]

    def value_follows(self) -> bool:
        """Whether the next word is no option."""
        following = self._words[self._at : self._at + 1]
        return bool(following) and (
            following[0].partition('=')[0] not in self._options
            and not re.match(r'-(-|[A-Za-z])', following[0])
        )


def _values(rest: _Peek, nargs: int | str | None) -> Iterator[str]:
    most = {None: 1, '+': len(rest._words)}.get(nargs, nargs)
    while most and rest.value_follows():
        most -= 1
        yield next(rest)


def _absolute(value: str, action: argparse.Action) -> str:
    """Return a value with its path made absolute: jobs start in another folder."""
    if action.type is Path:
        return str(Path(value).resolve())
    if action.dest in _FOLDER_OR_NAME and value != BUILTIN:
        name, equals, path = value.rpartition('=')
        if Path(path).exists():
            return f'{name}{equals}{Path(path).resolve()}'
    return value
