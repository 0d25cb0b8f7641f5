"""Reading a model formula without running it.

A formula says what the values of a region are explained with,

    chi ~ diagnosis * age + sex + bs(age, df=4) + C(scanner, Treatment('A'))

Left of ``~`` stands ``chi`` (the mean of the region) or another column of the region tables.
Right of it stand columns of participants.tsv and sessions.tsv, joined by

* ``+`` and ``-``: with, without;
* ``a:b``: the interaction, ``a*b``: both and their interaction, ``(a + b + c)**2``: all of
  them and all interactions of two;
* ``age**2`` or ``I(age**2)``: a power of a column of numbers;
* ``bs(age, df=4)``: a smooth curve, a cubic B-spline with four columns;
* ``C(x)``: numbers that are names of groups, ``C(x, Treatment('control'))``: the same or a
  text column, with the group that the others are compared with.

Two rules keep the coefficients meaningful. A model always has its constant. And it is
hierarchical (Nelder 1977): an interaction brings its parts along, a power the lower powers, so
that neither the fit nor the tests depend on where the zero of age lies.

The text is split into words and read by the parser below. Nothing of it is ever handed to
Python, so a formula cannot run code.

References
----------
Nelder JA. A reformulation of linear models. J R Stat Soc A 1977;140:48-77.
https://doi.org/10.2307/2344517
Wilkinson GN, Rogers CE. Symbolic description of factorial models for analysis of variance.
Appl Stat 1973;22:392-399. https://doi.org/10.2307/2346786
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

from qsmbids.group.errors import GroupError

MAX_LENGTH = 500  # characters; nobody means more
MAX_TERMS = 40
MAX_POWER = 4
MAX_DEPTH = 20

_TOKEN = re.compile(
    r'\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[^\W\d][\w.]*)|`(?P<quoted>[^`]+)`'
    r'|"(?P<double>[^"]*)"|\'(?P<single>[^\']*)\'|(?P<sign>\*\*|[-+*:(),=]))'
)
_WHY = 'A model joins columns of participants.tsv with + - * : ** and I(), C(), bs(); no more.'
_DO = 'Write, for example: --model "chi ~ diagnosis + age + sex"'

Word = tuple[str, str]  # kind ('number', 'name', 'text', 'sign' or 'end') and the word


@dataclass(frozen=True, order=True)
class Factor:
    """One column inside a term.

    Parameters
    ----------
    column : str
        Name in the table of scans.
    kind : str
        ``column`` (numbers or groups, as the table has it), ``power``, ``spline`` or
        ``category``.
    number : int
        The power, or the degrees of freedom of the spline; 1 otherwise.
    reference : str
        The group that others are compared with; '' leaves the choice to the data.
    """

    column: str
    kind: str = 'column'
    number: int = 1
    reference: str = ''

    def __str__(self) -> str:
        """Return the factor as one writes it."""
        if self.kind == 'power':
            return f'{self.column}**{self.number}'
        return f'bs({self.column}, df={self.number})' if self.kind == 'spline' else self.column


Term = tuple[Factor, ...]


@dataclass(frozen=True)
class Formula:
    """A model: ``response ~ 1 + terms``.

    Parameters
    ----------
    text : str
        As it was given.
    response : str
        Column of the region tables; ``chi`` is read as ``mean``.
    terms : tuple of Term
        Each a tuple of factors; the constant is not among them. Hierarchical, main effects
        first.
    """

    text: str
    response: str
    terms: tuple[Term, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns on the right side, in order of appearance."""
        return tuple(dict.fromkeys(factor.column for term in self.terms for factor in term))


def term_name(term: Term) -> str:
    """Return the term as one writes it."""
    return ':'.join(str(factor) for factor in term)


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Parameters
    ----------
    text : str
        ``response ~ terms``; without ``~`` the response is ``chi``.

    Raises
    ------
    GroupError
        With anything that is not part of the language described in this module.

    Examples
    --------
    >>> formula = parse_formula('chi ~ diagnosis * age + sex')
    >>> formula.response, [term_name(term) for term in formula.terms]
    ('mean', ['diagnosis', 'age', 'sex', 'diagnosis:age'])
    """
    if len(text) > MAX_LENGTH:
        raise GroupError(f'The model has {len(text)} characters.', _WHY, _DO)
    left, tilde, right = text.partition('~')
    if not tilde:
        left, right = 'chi', text
    response = _Parser(left, text).only_name()
    terms = _Parser(right, text).all_terms()
    if not terms:
        raise GroupError(
            f'The model "{text}" has nothing on its right side but a constant.', _WHY, _DO
        )
    return Formula(text.strip(), 'mean' if response == 'chi' else response, terms)


def _complete(terms: list[Term]) -> list[Term]:
    """Add what stands below each term: its parts, and lower powers."""
    found: dict[frozenset[Factor], Term] = {}
    waiting = list(terms)
    while waiting:
        term = waiting.pop(0)
        if not term or frozenset(term) in found:
            continue
        found[frozenset(term)] = term
        for i, factor in enumerate(term):
            waiting.append(term[:i] + term[i + 1 :])
            if factor.kind == 'power':
                waiting.append(_product(term[:i], (_power(factor, -1),), term[i + 1 :]))
    return sorted(found.values(), key=lambda t: (len(t), max(_degree(f) for f in t)))


def _degree(factor: Factor) -> int:
    return factor.number if factor.kind == 'power' else 1


def _power(factor: Factor, step: int) -> Factor:
    number = factor.number + step
    return Factor(factor.column, 'power', number) if number > 1 else Factor(factor.column)


def _product(*parts: Term) -> Term:
    """Join factors to one term; the same factor twice counts once."""
    return tuple(dict.fromkeys(factor for part in parts for factor in part))


class _Parser:
    """Recursive descent, one method for each level of precedence: ``+ -``, ``*``, ``:``, ``**``.

    Each returns a list of terms; the empty term is the constant.
    """

    def __init__(self, part: str, whole: str) -> None:
        self.whole = whole
        self.words = self._split(part)
        self.at = 0
        if part.count('(') > MAX_DEPTH:
            self._fail(f'it has more than {MAX_DEPTH} brackets')

    def only_name(self) -> str:
        kind, word = self._next()
        if kind != 'name' or self._peek()[0] != 'end':
            self._fail('left of ~ stands one column of the region tables, such as chi')
        return word

    def all_terms(self) -> tuple[Term, ...]:
        terms = self._sum()
        if self._peek()[0] != 'end':
            self._fail(f'"{self._peek()[1]}" is not expected there')
        terms = self._same_groups(self._not_too_many(terms))
        return tuple(self._not_too_many(_complete(terms)))

    def _same_groups(self, terms: list[Term]) -> list[Term]:
        """Read a column that is C(x) in one place as C(x) in all."""
        groups: dict[str, Factor] = {}
        for factor in (f for term in terms for f in term if f.kind == 'category'):
            if groups.setdefault(factor.column, factor) != factor:
                self._fail(f'{factor.column} has two reference groups')
        return [
            tuple(groups.get(f.column, f) if f.kind == 'column' else f for f in term)
            for term in terms
        ]

    def _sum(self) -> list[Term]:
        if self._take('-'):
            self._fail('the constant cannot be removed')
        terms = self._products()
        while self._peek()[1] in ('+', '-') and self._peek()[0] == 'sign':
            if self._take('+'):
                terms += self._products()
            else:
                self._next()
                removed = {frozenset(term) for term in self._products()}
                if frozenset() in removed:
                    self._fail('the constant cannot be removed')
                terms = [term for term in terms if frozenset(term) not in removed]
        return terms

    def _products(self) -> list[Term]:
        terms = self._interactions()
        while self._take('*'):
            others = self._interactions()
            both = [_product(a, b) for a in terms for b in others]
            terms = self._not_too_many([*terms, *others, *both])
        return terms

    def _interactions(self) -> list[Term]:
        terms = self._powers()
        while self._take(':'):
            others = self._powers()
            terms = self._not_too_many([_product(a, b) for a in terms for b in others])
        return terms

    def _powers(self) -> list[Term]:
        terms = self._atom()
        if not self._take('**'):
            return terms
        number = self._integer(2, MAX_POWER, 'a power')
        if len(terms) == 1 and len(terms[0]) == 1:
            factor = terms[0][0]
            if factor.kind != 'column':
                self._fail(f'{factor} has no power')
            return [(Factor(factor.column, 'power', number),)]
        self._not_too_many(terms)
        orders = range(1, number + 1)
        return [_product(*some) for order in orders for some in combinations(terms, order)]

    def _atom(self) -> list[Term]:
        kind, word = self._next()
        if kind == 'name' and self._peek() == ('sign', '('):
            return [(self._function(word),)]
        if kind in ('name', 'quoted'):
            return [(Factor(word),)]
        if (kind, word) == ('sign', '('):
            terms = self._sum()
            self._expect(')')
            return terms
        if (kind, word) == ('number', '1'):
            return [()]
        if kind == 'number':
            self._fail(f'the number {word} is no column; the constant, 1, is always there')
        self._fail('it ends too early' if kind == 'end' else f'"{word}" is not expected there')
        return []

    def _function(self, name: str) -> Factor:
        if name not in ('I', 'C', 'bs'):
            self._fail(f'{name}() is not known, only I(), C() and bs()')
        self._expect('(')
        kind, column = self._next()
        if kind not in ('name', 'quoted'):
            self._fail(f'{name}() begins with the name of a column')
        if name == 'I':
            self._expect('**')
            factor = Factor(column, 'power', self._integer(2, MAX_POWER, 'a power'))
        elif name == 'C':
            factor = Factor(column, 'category', reference=self._reference())
        else:
            number = 4
            if self._take(','):
                if self._next() != ('name', 'df'):
                    self._fail('bs() is written as bs(age, df=4)')
                self._expect('=')
                number = self._integer(3, 10, 'df of a spline')
            factor = Factor(column, 'spline', number)
        self._expect(')')
        return factor

    def _reference(self) -> str:
        """Read ``, Treatment('control')`` when it is there."""
        if not self._take(','):
            return ''
        if self._next() != ('name', 'Treatment'):
            self._fail("a reference group is written as C(x, Treatment('control'))")
        self._expect('(')
        if self._peek() == ('name', 'reference'):
            self._next()
            self._expect('=')
        kind, word = self._next()
        if kind not in ('text', 'number'):
            self._fail("the reference group stands in quotes: Treatment('control')")
        self._expect(')')
        return word

    def _integer(self, low: int, high: int, what: str) -> int:
        kind, word = self._next()
        if kind != 'number' or not word.isdigit() or not low <= int(word) <= high:
            self._fail(f'{what} is a number from {low} to {high}')
        return int(word)

    def _not_too_many(self, terms: list[Term]) -> list[Term]:
        if len(terms) > MAX_TERMS:
            self._fail(f'it has more than {MAX_TERMS} terms')
        return terms

    def _split(self, part: str) -> list[Word]:
        words, at, part = [], 0, part.rstrip()
        while at < len(part):
            found = _TOKEN.match(part, at)
            if found is None:
                self._fail(f'"{part[at:].strip()[:12]}" cannot be read')
            kind = found.lastgroup
            words.append(('text' if kind in ('single', 'double') else kind, found[kind]))
            at = found.end()
        return [*words, ('end', '')]

    def _peek(self) -> Word:
        return self.words[self.at]

    def _next(self) -> Word:
        word = self.words[self.at]
        self.at = min(self.at + 1, len(self.words) - 1)
        return word

    def _take(self, sign: str) -> bool:
        if self._peek() == ('sign', sign):
            self._next()
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._fail(f'"{sign}" is missing before "{self._peek()[1]}"')

    def _fail(self, why: str) -> None:
        raise GroupError(f'The model "{self.whole}" cannot be read: {why}.', _WHY, _DO)
