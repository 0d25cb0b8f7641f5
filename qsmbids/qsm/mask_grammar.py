"""A small language to combine masks, such as ``fill(largest(bet & erode(quality, 1)))``.

    expression  =  overlap { '|' overlap }                  union
    overlap     =  difference { '&' difference }            intersection
    difference  =  item { '-' item }                        without
    item        =  '(' expression ')'  |  name  |  function
    function    =  ('fill' | 'largest') '(' expression ')'
                |  ('erode' | 'dilate' | 'open' | 'close') '(' expression ',' mm ')'

``-`` binds tighter than ``&``, and that tighter than ``|``, as with the sets of Python.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .closing import closing, opening
from .grid import Grid
from .masks import dilate, erode, fill_holes, largest_component

MASK_NAMES: dict[str, str] = {
    'bet': 'brain, by a surface model of the magnitude',
    'quality': 'smooth phase, by a threshold on the phase quality',
    'threshold': 'head, by a threshold on the magnitude',
    'atlas': 'brain of the atlas in the space of the scan',
    'user': 'a mask that was made elsewhere',
    'reliable': 'brain voxels whose phase and decay can be trusted',
}
WITH_DISTANCE: dict[str, Callable[[np.ndarray, float, Grid], np.ndarray]] = {
    'erode': erode,
    'dilate': dilate,
    'open': opening,
    'close': closing,
}
WITHOUT_DISTANCE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'fill': fill_holes,
    'largest': largest_component,
}
OPERATORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    '|': np.logical_or,
    '&': np.logical_and,
    '-': lambda left, right: left & ~right,
}
_BINDING = {sign: strength for strength, sign in enumerate(OPERATORS)}  # weakest first
_TOKEN = re.compile(r' *(?:([A-Za-z_][A-Za-z0-9_]*)|(\d+\.?\d*|\.\d+)|([&|\-(),]))')


class MaskExpression(ABC):
    """What :func:`parse_mask` returns: a tree with names of masks as its leaves."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the masks that are needed, in order, each once."""
        return tuple(dict.fromkeys(self._leaves()))

    def evaluate(self, masks: Mapping[str, np.ndarray], grid: Grid) -> np.ndarray:
        """Compute the combined mask.

        Parameters
        ----------
        masks : mapping of str to (nx, ny, nz) bool
            At least those of :meth:`names`.
        grid : Grid
            Of all masks; its voxel size gives the distances.

        Returns
        -------
        (nx, ny, nz) bool
            A new array, possibly empty.

        Raises
        ------
        ValueError
            If a mask is missing or does not belong to the grid.
        """
        for name in self.names():
            if name not in masks:
                raise ValueError(
                    f'The mask expression "{self}" needs the mask {name!r}.\n'
                    'Without it the expression has no meaning.\n'
                    f'There are: {", ".join(masks) or "none"}.'
                )
            if np.shape(masks[name]) != grid.shape:
                raise ValueError(
                    f'The mask {name!r} has the shape {np.shape(masks[name])} but the grid '
                    f'{grid.shape}.\n'
                    'Voxels would be mixed up.\n'
                    'Give masks on the grid of the scan.'
                )
        return self._value(masks, grid).copy()

    @abstractmethod
    def _leaves(self) -> Iterator[str]: ...

    @abstractmethod
    def _value(self, masks: Mapping[str, np.ndarray], grid: Grid) -> np.ndarray: ...


@dataclass(frozen=True)
class MaskName(MaskExpression):
    """A mask that is given."""

    name: str

    def __str__(self) -> str:
        return self.name

    def _leaves(self) -> Iterator[str]:
        yield self.name

    def _value(self, masks: Mapping[str, np.ndarray], grid: Grid) -> np.ndarray:
        return np.asarray(masks[self.name]).astype(bool)


@dataclass(frozen=True)
class MaskCombination(MaskExpression):
    """Two masks joined by one of :data:`OPERATORS`."""

    operator: str
    left: MaskExpression
    right: MaskExpression

    def __str__(self) -> str:
        left, right = self._bracketed(self.left, 0), self._bracketed(self.right, 1)
        return f'{left} {self.operator} {right}'

    def _bracketed(self, side: MaskExpression, is_right: int) -> str:
        """Return the text of a side, in brackets where it would be read otherwise."""
        weaker = isinstance(side, MaskCombination) and (
            _BINDING[side.operator] < _BINDING[self.operator] + is_right
        )
        return f'({side})' if weaker else str(side)

    def _leaves(self) -> Iterator[str]:
        yield from self.left._leaves()
        yield from self.right._leaves()

    def _value(self, masks: Mapping[str, np.ndarray], grid: Grid) -> np.ndarray:
        combine = OPERATORS[self.operator]
        return combine(self.left._value(masks, grid), self.right._value(masks, grid))


@dataclass(frozen=True)
class MaskFunction(MaskExpression):
    """A mask changed by a function; ``distance_mm`` is None for one that needs no distance."""

    function: str
    argument: MaskExpression
    distance_mm: float | None = None

    def __str__(self) -> str:
        distance = '' if self.distance_mm is None else f', {self.distance_mm:.12g}'
        return f'{self.function}({self.argument}{distance})'

    def _leaves(self) -> Iterator[str]:
        yield from self.argument._leaves()

    def _value(self, masks: Mapping[str, np.ndarray], grid: Grid) -> np.ndarray:
        mask = self.argument._value(masks, grid)
        if self.distance_mm is None:
            return WITHOUT_DISTANCE[self.function](mask)
        return WITH_DISTANCE[self.function](mask, self.distance_mm, grid)


def parse_mask(text: str, names: Iterable[str] = tuple(MASK_NAMES)) -> MaskExpression:
    """Read a mask expression; see the top of this module for the language.

    Parameters
    ----------
    text : str
        For example ``'fill(largest(bet & erode(quality, 1)))'``; distances in mm.
    names : iterable of str
        Masks that may be named.

    Returns
    -------
    MaskExpression
        Its ``str`` is the expression again, with only the brackets that matter.

    Raises
    ------
    ValueError
        If the text is no expression. Three lines: what is wrong, the text with an arrow
        before the place, and the masks and functions that there are.

    Examples
    --------
    >>> expression = parse_mask('fill((largest(bet & erode(quality, 1.0))))')
    >>> print(expression)
    fill(largest(bet & erode(quality, 1)))
    >>> expression.names()
    ('bet', 'quality')
    >>> parse_mask('bet & erode(qualty, 1)')
    Traceback (most recent call last):
    ...
    ValueError: There is no mask 'qualty'; did you mean 'quality'.
        bet & erode( ==> qualty, 1)
    Masks: bet, quality, threshold, atlas, user, reliable. Functions: erode(x, mm), ...
    """
    return _Parser(text, tuple(names)).parse()


class _Parser:
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = ' '.join(text.split())  # one line, so that the pointer points
        self.known = names
        self.position = 0  # of the current token in the text
        self.after = 0  # end of the current token
        self.token = self.kind = ''  # kind: name, number, sign or '' at the end
        self.advance()

    def parse(self) -> MaskExpression:
        expression = self.binary(0)
        if self.token == ')':
            self.fail('this bracket was never opened')
        if self.token:
            self.fail('an operator is missing before this: &, | or -')
        return expression

    def binary(self, strength: int) -> MaskExpression:
        """Read operands joined by the operator of this strength, from left to right."""
        if strength == len(OPERATORS):
            return self.item()
        sign = list(OPERATORS)[strength]
        expression = self.binary(strength + 1)
        while self.token == sign:
            self.advance()
            expression = MaskCombination(sign, expression, self.binary(strength + 1))
        return expression

    def item(self) -> MaskExpression:
        if self.token == '(':
            self.advance()
            expression = self.binary(0)
            self.close_bracket()
            return expression
        if self.kind != 'name':
            self.fail('a mask is expected here')
        if self.token in WITH_DISTANCE or self.token in WITHOUT_DISTANCE:
            return self.function()
        if self.token not in self.known:
            self.fail(f'there is no mask {self.token!r}{self.suggestion()}')
        name = self.token
        self.advance()
        if self.token == '(':
            self.fail(f'{name} is a mask and takes no argument')
        return MaskName(name)

    def function(self) -> MaskExpression:
        function = self.token
        needs_distance = function in WITH_DISTANCE
        shown = f'{function}(x, mm)' if needs_distance else f'{function}(x)'
        self.advance()
        if self.token != '(':
            self.fail(f'{function} is a function: write {shown}')
        self.advance()
        argument = self.binary(0)
        distance = None
        if needs_distance:
            if self.token != ',':
                self.fail(f'a distance is missing: write {shown}')
            self.advance()
            if self.kind != 'number':
                self.fail('a distance in mm, 0 or more, is expected here')
            distance = float(self.token)
            self.advance()
        elif self.token == ',':
            self.fail(f'{function} takes no distance: write {shown}')
        self.close_bracket()
        return MaskFunction(function, argument, distance)

    def close_bracket(self) -> None:
        if self.token != ')':
            self.fail('a closing bracket is expected here')
        self.advance()

    def advance(self) -> None:
        """Go to the next token."""
        self.position = self.after + (self.text[self.after : self.after + 1] == ' ')
        if self.position >= len(self.text):
            self.token = self.kind = ''
            return
        match = _TOKEN.match(self.text, self.after)
        if match is None:
            self.fail(f'{self.text[self.position]!r} means nothing here; operators are &, | and -')
        self.after = match.end()
        self.kind = ('name', 'number', 'sign')[match.lastindex - 1]
        self.token = match[match.lastindex]

    def suggestion(self) -> str:
        words = (*self.known, *WITH_DISTANCE, *WITHOUT_DISTANCE)
        close = difflib.get_close_matches(self.token.lower(), words, n=1)
        return f'; did you mean {close[0]!r}' if close else ''

    def fail(self, reason: str) -> None:
        functions = [f'{name}(x, mm)' for name in WITH_DISTANCE]
        functions += [f'{name}(x)' for name in WITHOUT_DISTANCE]
        before = self.text[: self.position].rstrip()
        raise ValueError(
            f'{reason[0].upper()}{reason[1:]}.\n    {before} ==> {self.text[self.position :]}\n'
            f'Masks: {", ".join(self.known) or "none"}. Functions: {", ".join(functions)}.'
        )
