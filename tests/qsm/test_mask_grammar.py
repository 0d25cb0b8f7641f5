import numpy as np
import pytest

from qsmbids.qsm.closing import closing, opening
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.mask_grammar import (
    MASK_NAMES,
    MaskCombination,
    MaskFunction,
    MaskName,
    parse_mask,
)
from qsmbids.qsm.masks import dilate, erode, fill_holes, largest_component

GRID = Grid((16, 15, 14), (1.0, 1.2, 2.0), (0.6, 0.0, 0.8))
BET, QUALITY, USER = MaskName('bet'), MaskName('quality'), MaskName('user')


@pytest.fixture
def masks():
    rng = np.random.default_rng(0)
    return {name: rng.random(GRID.shape) > 0.3 for name in MASK_NAMES}


def test_the_example_of_the_manual(masks):
    expression = parse_mask('fill(largest(bet & erode(quality, 1)))')
    assert expression == MaskFunction(
        'fill',
        MaskFunction('largest', MaskCombination('&', BET, MaskFunction('erode', QUALITY, 1.0))),
    )
    assert expression.names() == ('bet', 'quality')
    expected = fill_holes(largest_component(masks['bet'] & erode(masks['quality'], 1, GRID)))
    np.testing.assert_array_equal(expression.evaluate(masks, GRID), expected)


@pytest.mark.parametrize(
    ('text', 'meaning'),
    [
        ('bet', lambda m: m['bet']),
        ('bet & user', lambda m: m['bet'] & m['user']),
        ('bet | user', lambda m: m['bet'] | m['user']),
        ('bet - user', lambda m: m['bet'] & ~m['user']),
        ('erode(bet, 2)', lambda m: erode(m['bet'], 2, GRID)),
        ('dilate(bet, .5)', lambda m: dilate(m['bet'], 0.5, GRID)),
        ('open(bet, 1.0)', lambda m: opening(m['bet'], 1, GRID)),
        ('close(bet, 2.)', lambda m: closing(m['bet'], 2, GRID)),
        ('fill(bet)', lambda m: fill_holes(m['bet'])),
        ('largest(bet)', lambda m: largest_component(m['bet'])),
        # as the sets of Python: - before & before |, each from left to right
        ('bet | user & atlas', lambda m: m['bet'] | (m['user'] & m['atlas'])),
        ('bet & user | atlas', lambda m: (m['bet'] & m['user']) | m['atlas']),
        ('bet - user & atlas', lambda m: (m['bet'] & ~m['user']) & m['atlas']),
        ('bet | user - atlas', lambda m: m['bet'] | (m['user'] & ~m['atlas'])),
        ('bet - user - atlas', lambda m: m['bet'] & ~m['user'] & ~m['atlas']),
        ('bet - (user - atlas)', lambda m: m['bet'] & ~(m['user'] & ~m['atlas'])),
        ('(bet | user) & atlas', lambda m: (m['bet'] | m['user']) & m['atlas']),
    ],
)
def test_meaning(text, meaning, masks):
    np.testing.assert_array_equal(parse_mask(text).evaluate(masks, GRID), meaning(masks))


def test_precedence_is_that_of_python_sets():
    sets = {'bet': {1, 2, 3, 4}, 'user': {2, 3, 5}, 'atlas': {3, 4, 5, 6}}
    masks = {
        name: np.isin(np.arange(8).reshape(2, 2, 2), list(values)) for name, values in sets.items()
    }
    for first in '&|-':
        for second in '&|-':
            text = f'bet {first} user {second} atlas'
            found = parse_mask(text).evaluate(masks, Grid((2, 2, 2)))
            assert set(np.flatnonzero(found)) == eval(text, {}, sets), text


def test_blanks_and_needless_brackets_do_not_matter():
    plain = parse_mask('bet & erode(user, 1.5) | atlas')
    for text in ('bet&erode(user,1.5)|atlas', ' bet  &\n erode ( user , 1.50 )\t| atlas ',
                 '(((bet) & (erode((user), 1.5))) | (atlas))'):  # fmt: skip
        assert parse_mask(text) == plain


@pytest.mark.parametrize(
    'text',
    ['bet', 'bet - user - atlas', 'bet - (user - atlas)', 'bet & (user | atlas)',
     'bet & user | atlas', 'bet - (user & atlas)', 'bet & user - atlas',
     'fill(largest(bet & erode(quality, 1)))', 'open((bet), 0.125)',
     'dilate(bet | user, 2) - close(atlas, 1.5)'],
)  # fmt: skip
def test_text_of_an_expression_reads_as_the_same(text):
    expression = parse_mask(text)
    assert parse_mask(str(expression)) == expression
    assert len(str(expression)) <= len(text)


def test_names_are_listed_once_in_order():
    assert parse_mask('user | bet & user - fill(atlas)').names() == ('user', 'bet', 'atlas')


def test_masks_are_left_alone_and_the_result_is_a_new_array(masks):
    before = masks['bet'].copy()
    result = parse_mask('bet').evaluate(masks, GRID)
    result[:] = False
    np.testing.assert_array_equal(masks['bet'], before)


def test_numbers_as_masks_count_as_true(masks):
    coded = {'bet': masks['bet'].astype(np.uint8) * 3}
    np.testing.assert_array_equal(parse_mask('bet').evaluate(coded, GRID), masks['bet'])
    np.testing.assert_array_equal(
        parse_mask('bet - bet').evaluate(coded, GRID), np.zeros(GRID.shape, bool)
    )


@pytest.mark.parametrize(
    ('text', 'column', 'reason'),
    [
        ('', 0, 'a mask is expected'),
        ('   ', 0, 'a mask is expected'),
        ('bet &', 5, 'a mask is expected'),
        ('& bet', 0, 'a mask is expected'),
        ('bet & 3', 6, 'a mask is expected'),
        ('bet & brian', 6, "no mask 'brian'"),
        ('bet quality', 4, 'an operator is missing'),
        ('bet & (quality', 14, 'a closing bracket is expected'),
        ('bet)', 3, 'never opened'),
        ('erode(bet)', 9, r'a distance is missing: write erode\(x, mm\)'),
        ('erode(bet, -1)', 11, 'a distance in mm'),
        ('erode(bet, user)', 11, 'a distance in mm'),
        ('erode(bet, 1 mm)', 13, 'a closing bracket'),
        ('fill(bet, 2)', 8, r'takes no distance: write fill\(x\)'),
        ('bet & erode', 11, 'erode is a function'),
        ('bet(user)', 3, 'bet is a mask and takes no argument'),
        ('bet + user', 4, r"'\+' means nothing"),
        ('bet & ~user', 6, "'~' means nothing"),
        ('Fill(bet)', 0, "did you mean 'fill'"),
        ('bet & qualty', 6, "did you mean 'quality'"),
    ],
)
def test_errors_point_at_the_place(text, column, reason):
    with pytest.raises(ValueError, match='(?i)' + reason) as error:
        parse_mask(text)
    lines = str(error.value).split('\n')
    assert len(lines) == 3
    before, _, after = lines[1].strip(' ').partition('==>')
    plain = ' '.join(text.split())
    assert before.strip() == plain[:column].strip()
    assert after.strip() == plain[column:].strip()
    for word in (*MASK_NAMES, 'erode(x, mm)', 'largest(x)'):
        assert word in lines[2]


def test_names_may_be_those_of_the_caller():
    assert parse_mask('mine & bet', names=['mine', 'bet']).names() == ('mine', 'bet')
    with pytest.raises(ValueError, match="no mask 'bet'"):
        parse_mask('mine & bet', names=['mine'])


def test_missing_or_foreign_masks_are_refused(masks):
    expression = parse_mask('bet & user')
    with pytest.raises(ValueError, match="needs the mask 'user'") as error:
        expression.evaluate({'bet': masks['bet']}, GRID)
    assert str(error.value).count('\n') == 2
    with pytest.raises(ValueError, match="'user' has the shape"):
        expression.evaluate({**masks, 'user': masks['user'][1:]}, GRID)


def test_empty_masks_stay_empty():
    empty = {'bet': np.zeros(GRID.shape, bool)}
    for text in ('bet', 'fill(bet)', 'largest(bet)', 'erode(bet, 1)', 'close(bet, 2)'):
        assert not parse_mask(text).evaluate(empty, GRID).any()
