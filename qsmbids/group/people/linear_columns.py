"""What the columns of the tables of a model mean."""

from __future__ import annotations

from qsmbids.group.people.results import REGION_COLUMNS, Column, P, Q

TERM: Column = ('term', '', 'Part of the model')
N: Column = ('n', '', 'Scans with a value')
N_PEOPLE: Column = ('n_people', '', 'People they are of')
DF: Column = ('df', '', 'Degrees of freedom of the tests')


def coefficient_columns(response: str, unit: str) -> tuple[Column, ...]:
    """Return the columns of the table of coefficients."""
    return (
        *REGION_COLUMNS,
        TERM,
        (
            'coefficient', '',
            'name[group]: the difference of this group from the reference group; the name of a '
            'column of numbers: the change for one more of it, numbers counted from their mean '
            'in the cohort; a:b: the difference of differences or of slopes',
        ),
        ('reference_group', '', 'Group that is compared with'),
        ('estimate', unit, f'Of {response}, for one more unit of the column'),
        ('low', unit, 'Lower end of the 95 % interval'),
        ('high', unit, 'Upper end of the 95 % interval'),
        ('se', unit, 'Standard error: HC3, or of the mixed model with repeated scans'),
        ('t', '', 'Estimate divided by its standard error'),
        DF,
        P,
        ('q', '', Q[2] + ', within this coefficient'),
        (
            'effect', '',
            "Groups: Hedges' g, the difference in standard deviations between people that the "
            'model leaves. Slopes: standardised beta, standard deviations of the measure for one '
            'standard deviation of the column. n/a for curves, whose columns mean nothing alone',
        ),
        ('effect_low', '', 'Lower end of its 95 % interval'),
        ('effect_high', '', 'Upper end of its 95 % interval'),
        ('effect_kind', '', "Hedges' g or standardised beta"),
        N,
        N_PEOPLE,
    )  # fmt: skip


def term_columns() -> tuple[Column, ...]:
    """Return the columns of the table of terms."""
    return (
        *REGION_COLUMNS,
        TERM,
        ('f', '', 'Wald F of all coefficients of the term, with the same standard errors'),
        ('df_term', '', 'Number of these coefficients'),
        DF,
        P,
        ('q', '', Q[2] + ', within this term'),
        (
            'partial_eta2', '',
            'Fraction, explained by the term, of what the other terms leave unexplained',
        ),
        ('partial_eta2_low', '', 'Lower end of its 95 % interval'),
        ('partial_eta2_high', '', 'Upper end of its 95 % interval'),
        N,
        N_PEOPLE,
    )  # fmt: skip


def mean_columns(response: str, unit: str) -> tuple[Column, ...]:
    """Return the columns of the table of means."""
    return (
        *REGION_COLUMNS,
        ('column', '', 'Column that names the groups'),
        ('level', '', 'Group'),
        ('n', '', 'Scans of this group with a value'),
        (
            'adjusted_mean', unit,
            f'{response} that the model expects if everybody belonged to this group and all '
            'else stayed as it is',
        ),
        ('low', unit, 'Lower end of its 95 % interval'),
        ('high', unit, 'Upper end of its 95 % interval'),
        ('mean', unit, 'Plain mean of the group, nothing adjusted'),
        ('sd', unit, 'Plain standard deviation of the group'),
    )  # fmt: skip
