import pytest

from qsmbids.atlas.sides import side_of_column, sides_of_names, split_name


@pytest.mark.parametrize(
    ('left', 'right', 'bare'),
    [
        ('Left Putamen', 'Right Putamen', 'Putamen'),
        ('putamen_left', 'putamen_right', 'putamen'),
        ('Putamen (left)', 'Putamen (right)', 'Putamen'),
        ('CaudateLeft', 'CaudateRight', 'Caudate'),
        ('LeftRedNucleus', 'RightRedNucleus', 'RedNucleus'),
        ('ctx-lh-cuneus', 'ctx-rh-cuneus', 'ctx-cuneus'),
        ('L_GPe', 'R_GPe', 'GPe'),
        ('red nucleus l', 'red nucleus r', 'red nucleus'),
        ('SN-L', 'SN-R', 'SN'),
    ],
)
def test_sides_in_names(left, right, bare):
    assert sides_of_names([left, right]) == [('L', bare), ('R', bare)]


@pytest.mark.parametrize(
    'name',
    ['Genu', 'SNr', 'SN_r', 'Leftover', 'pallidum', 'Left', 'L', 'left to right commissure', 'r'],
)
def test_names_without_a_side_or_with_an_uncertain_one(name):
    assert sides_of_names([name, 'Putamen L']) == [('', name), ('', 'Putamen L')]


def test_a_letter_needs_its_partner_a_word_does_not():
    assert sides_of_names(['left insula', 'SN_r', 'SN_c']) == [
        ('L', 'insula'), ('', 'SN_r'), ('', 'SN_c')
    ]  # fmt: skip
    assert split_name('SN_r')[1:] == ('R', False)


@pytest.mark.parametrize(
    ('text', 'side'),
    [('L', 'L'), ('right', 'R'), ('RH', 'R'), ('both', 'B'), ('', ''), ('n/a', ''), ('x', None)],
)
def test_entries_of_a_column(text, side):
    assert side_of_column(text) == side
