import pytest

from qsmbids.plan.age import to_years


def age(tree, **wishes):
    return tree.only(**wishes).age_years


def people(tree, text, column='age', units=None, code=None):
    tree.table('participants.tsv', [{'participant_id': 'sub-01', column: text}])
    if units is not None:
        tree.json('participants.json', {column: {'Units': units}})


@pytest.mark.parametrize(
    ('value', 'unit', 'years'),
    [
        (30, 'year', 30),
        (30, 'years', 30),
        (30, 'Years', 30),
        (18, 'month', 1.5),
        (18, 'months', 1.5),
        (52.1785714, 'weeks', 1),
        (365.25, 'day', 1),
        (730.5, 'days', 2),
    ],
)
def test_units(value, unit, years):
    assert to_years(value, unit) == pytest.approx(years)


def test_unknown_unit():
    with pytest.raises(ValueError, match='decade'):
        to_years(3, 'decade')


@pytest.mark.parametrize(
    ('text', 'column', 'units', 'years'),
    [
        ('34.2', 'age', None, 34.2),
        ('34,2', 'age', None, 34.2),
        ('34', 'Age', None, 34),
        ('34', 'age', 'year', 34),
        ('18', 'age', 'months', 1.5),
        ('18', 'age_months', None, 1.5),
        ('18', 'age_months', 'years', 1.5),  # the name of the column is the clearer word
        ('730.5', 'age_days', None, 2),
        ('34', 'age_years', None, 34),
        ('0', 'age', None, 0),
    ],
)
def test_participants_table(good, text, column, units, years):
    people(good, text, column, units)
    decided = age(good)
    assert decided.value == pytest.approx(years)
    assert decided.source == 'table'
    assert decided.detail.startswith(f'participants.tsv: {column.lower()}')


@pytest.mark.parametrize('text', ['n/a', 'N/A', '', 'nan'])
def test_missing_age_is_a_warning(good, text):
    people(good, text)
    assert age(good) is None
    assert good.issue('AGE_MISSING').severity == 'warning'
    assert good.only().usable


def test_no_table_and_no_row(good):
    good.table('participants.tsv', [{'participant_id': 'sub-99', 'age': '50'}])
    assert age(good) is None
    (good.root / 'participants.tsv').unlink()
    assert age(good) is None


def test_capped_age(good):
    people(good, '89+')
    assert age(good).value == 89
    assert good.issue('AGE_CAPPED').severity == 'note'


@pytest.mark.parametrize('text', ['old', '-3', '30-40', '1200'])
def test_nonsense_is_told_and_not_used(good, text):
    people(good, text)
    assert age(good) is None
    assert text in good.issue('AGE_UNREADABLE').what


def test_unknown_unit_is_told_and_not_used(good):
    people(good, '3', units='decades')
    assert age(good) is None
    assert 'decades' in good.issue('AGE_UNIT_UNKNOWN').what


def test_command_line_overrides(good):
    decided = age(good, age=50)
    assert (decided.value, decided.source) == (50, 'command line')


@pytest.mark.parametrize('key', ['sub-01', '01'])
def test_participant_with_and_without_prefix(good, key):
    good.table('participants.tsv', [{'participant_id': key, 'age': '7'}])
    assert age(good).value == 7


def test_the_table_nearest_to_the_scan_wins(tree):
    for ses in ('1', '2', '3'):
        tree.scan(ses=ses)
    tree.table(
        'sub-01/sub-01_sessions.tsv',
        [
            {'session_id': 'ses-1', 'age': '40'},
            {'session_id': 'ses-2', 'age': '41'},
            {'session_id': 'ses-3', 'age': 'n/a'},
        ],
    )
    tree.table(
        'sub-01/ses-2/sub-01_ses-2_scans.tsv',
        [{'filename': 'anat/sub-01_ses-2_echo-1_part-mag_MEGRE.nii.gz', 'age_months': '498'}],
    )
    (person,) = tree.plan().participants
    ages = [(a.age_years.value, a.age_years.detail.split(':')[0]) for a in person.acquisitions]
    assert ages == [
        (40, 'sub-01/sub-01_sessions.tsv'),
        (41.5, 'sub-01/ses-2/sub-01_ses-2_scans.tsv'),
        (34, 'participants.tsv'),
    ]


def test_scans_table_without_sessions(good):
    good.table(
        'sub-01/sub-01_scans.tsv',
        [{'filename': 'anat/sub-01_echo-2_part-phase_MEGRE.nii.gz', 'age': '12'}],
    )
    assert age(good).value == 12


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'latin-1'])
def test_tables_from_office_programs(good, encoding):
    text = 'participant_id\tage\tname\r\nsub-01\t34\tMüller\r\n'
    (good.root / 'participants.tsv').write_bytes(text.encode(encoding))
    assert age(good).value == 34


def test_ragged_table(good):
    good.text('participants.tsv', 'participant_id\tage\nsub-00\nsub-01\t34\textra\n')
    assert age(good).value == 34


def test_broken_dictionary_of_the_table(good):
    good.text('participants.json', '{')
    assert age(good).value == 34
    assert good.issue('TABLE_BROKEN').severity == 'warning'


@pytest.mark.parametrize('bad', [-1, 200, float('nan')])
def test_impossible_age_on_the_command_line(good, bad):
    with pytest.raises(ValueError, match='age'):
        good.plan(age=bad)
