"""Asking for what files do not tell.

Code that meets something it must not guess puts a `Question`. Whoever called may answer it (a
person at a terminal); if nobody does, it becomes an error that names the option to give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qsmbids.atlas.errors import AtlasError


@dataclass(frozen=True)
class Question:
    """Something that only a person can know.

    Parameters
    ----------
    option : str
        The option that answers it without being asked, e.g. ``--units``.
    text : str
        The question, one sentence.
    why : str
        What depends on it, one sentence.
    choices : tuple of str
        The possible answers; empty for free text.
    proposal : str
        What the files suggest, if they do: one of ``choices``.
    """

    option: str
    text: str
    why: str
    choices: tuple[str, ...] = ()
    proposal: str = ''


class UnansweredError(AtlasError):
    """A question that nobody answered; the last line names the option that would."""


Ask = Callable[[Question], str]


def answer(question: Question, ask: Ask | None) -> str:
    """Return the answer of a person.

    Parameters
    ----------
    question : Question
    ask : callable, optional
        Takes the question, returns the answer.

    Raises
    ------
    UnansweredError
        If there is nobody to ask, or the answer is none of the choices.
    """
    given = ask(question).strip() if ask else ''
    if given and (not question.choices or given in question.choices):
        return given
    choice = f'{"|".join(question.choices)}' if question.choices else 'VALUE'
    hint = f' The files suggest {question.proposal}.' if question.proposal else ''
    what = f'{given!r} is no answer to: {question.text}' if given else question.text
    raise UnansweredError(what, f'{question.why}{hint}', f'Give {question.option} {choice}.')
