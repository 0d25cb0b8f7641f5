"""What is wrong with the tables of people: a thousand cases of a kind make one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

from qsmbids.group.listing import alone, listed
from qsmbids.group.problems import Problem

OLDEST_YEARS = 120.0


@dataclass
class Findings:
    """Names by kind of finding, so that a thousand of a kind make one sentence."""

    cases: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, kind: str, table: str, who: str, text: str = '') -> None:
        """Note one case; ``text`` is the cell."""
        said = f'{who} ("{text}")' if text else who
        self.cases.setdefault((kind, table), []).append(said)

    def problems(self) -> list[Problem]:
        """Return one problem for each kind and table."""
        found = []
        for (kind, table), cases in self.cases.items():
            what, why, do, severity = _SENTENCES[kind]
            who = [case.split(' ("')[0] for case in cases]
            what = what.format(table=table, who=listed(cases))
            found.append(Problem(what, why, do, alone(who), severity))
        return found


# kind: what, why, what to do, severity
_SENTENCES = {
    'age_text': (
        'The age in {table} is not a number: {who}.',
        'It is not used, because guessing at text makes wrong ages.',
        'Write a number of years, or n/a; another unit belongs into the JSON of the table.',
        'warning',
    ),
    'age_range': (
        f'The age in {{table}} is not between 0 and {OLDEST_YEARS:g} years: {{who}}.',
        'It is not used.',
        'Correct the table, or give "Units" of the column in the JSON beside it.',
        'warning',
    ),
    'age_unit': (
        'The unit of the age in {table} is not a year, month, week or day: {who}.',
        'The ages are not used, because they cannot be converted to years.',
        'Correct "Units" in the JSON beside the table.',
        'warning',
    ),
    'age_capped': (
        'The age in {table} is given as "or more": {who}.',
        'The number itself is used; the true age is hidden to protect the person.',
        'Leave these people out of curves if the oldest ages matter.',
        'note',
    ),
    'sex_coding': (
        'The sex in {table} is not one of F, M, O, female, male, other: {who}.',
        'It counts as not known, because a code like 1 or 2 is not guessed.',
        'Use these words, or explain the codes in "Levels" of the JSON beside the table.',
        'warning',
    ),
    'same_rows': (
        'The same row stands more than once in {table}: {who}.',
        'It is used once.',
        'Delete the copies.',
        'note',
    ),
    'different_rows': (
        'Rows that differ have the same name in {table}: {who}.',
        'Which is right cannot be known; the first is used.',
        'Keep one row for each name.',
        'warning',
    ),
    'no_name': (
        'Rows without a name are in {table}: {who}.',
        'They are not used.',
        'Fill in the first column.',
        'warning',
    ),
    'age_differs': (
        'The age in {table} is not that of the sidecar of the map: {who}.',
        'The age of the sidecar is used, because the atlas was chosen by it.',
        'Run the participant level again for these people if the table has been corrected.',
        'warning',
    ),
    'time_text': (
        'acq_time in {table} is not a date and time: {who}.',
        'The order of sessions then comes from ages or labels.',
        'Write it like 2020-03-01T09:30:00.',
        'warning',
    ),
    'taken_name': (
        'Columns of {table} have names that are used otherwise here: {who}.',
        'They are kept under the other name.',
        'Use the other name in models.',
        'note',
    ),
    'few_words': (
        'Columns of numbers in {table} hold words: {who}.',
        'Such a column is taken as one of categories.',
        'Write n/a for values that are not known.',
        'warning',
    ),
}
