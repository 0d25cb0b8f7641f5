"""The place of a person in norms, on the page of that person."""

from dataclasses import replace

import pytest

from qsmbids.lifespan.norm_prior import prior_norms
from qsmbids.lifespan.norms import Norm, NormSet
from qsmbids.report.models import AcquisitionResult
from qsmbids.report.norms import centile_words, norms_view
from qsmbids.report.page import render


def norms(**changed):
    members = tuple(
        Norm(region, 'B', age=(20, 80), mean=(mean, mean), sd=(0.01, 0.01), n=120)
        for region, mean in (('Caudate', 0.05), ('CorpusCallosumGenu', -0.01))
    )
    given = {'name': 'my norms', 'atlas': 'QSMLifespan', 'reference': 'whole-brain',
             'field_strength_t': 3.0, 'provenance': {'n': 120, 'ages': [20, 80]}}  # fmt: skip
    return NormSet(members, **given | changed)


@pytest.fixture
def result(regions, acquisition):
    rows = [dict(row) for row in regions]
    rows[1]['mean'], rows[2]['mean'] = '0.080', '0.100'  # caudate, 40 ppb above
    rows[3]['mean'] = '-0.012'
    return AcquisitionResult(
        'sub-01', acquisition, regions=rows, atlas={'name': 'QSMLifespan'},
        reference={'region': 'whole-brain'}, curve_offset_ppm=-0.003,
    )  # fmt: skip


def texts(row):
    return [cell['text'] for cell in row['cells']]


def page(view):
    """Render the part as the page includes it."""
    return render('norms.html.j2', view={'prefix': 'a1', 'norms': view})


def test_each_region_has_its_place(result):
    view = norms_view(result, 34.0, norms())
    caudate, genu = view['rows']
    assert texts(caudate) == ['+4.00', '> 99.9', '0.090', '0.050', '0.010', '0.00013']
    assert texts(genu)[:5] == ['−0.20', '42', '−0.012', '−0.010', '0.010']
    assert (caudate['flagged'], genu['flagged']) == (True, False)
    assert view['verdict'].startswith('Of 2 regions 1 flagged (Caudate); beyond |z| = 2: 1,')


def test_the_page_says_rule_rate_and_whose_norms(result):
    html = page(norms_view(result, 34.0, norms()))
    assert html.count('▲ flagged') == 1
    for words in ('my norms', '120 people, 20 to 80 years', '3 T', 'relative to whole-brain',
                  'about 5 of 100', 'no diagnosis', '+4.00'):  # fmt: skip
        assert words in html
    assert 'prior' not in html


def test_what_stands_out_comes_first_and_is_seen_on_a_phone(result):
    rows = [dict(row) for row in result.regions]
    rows[1]['mean'] = rows[2]['mean'] = '0.053'  # the other region is further away, and flagged
    rows[3]['mean'] = '-0.050'
    view = norms_view(replace(result, regions=rows), 34.0, norms())
    assert [(row['name'], row['flagged']) for row in view['rows']] == [
        ('Corpus callosum genu', True), ('Caudate', False),
    ]  # fmt: skip
    html = page(view)
    headings = [part.split('</button>')[0] for part in html.split('<button>')[1:]]
    assert headings == ['Region', 'Side', 'z', 'Finding', 'Centile', 'Value (ppm)',
                        'Expected (ppm)', 'SD (ppm)', 'Adjusted p']  # fmt: skip
    first = html.split('<tr>')[2]  # cells stand in the order of the headings
    assert first.index('−4.00') < first.index('▲ flagged') < first.index('&lt; 0.1')


def test_centiles_far_out_are_bounds():
    assert centile_words(99.95, 3.3) == '> 99.9'
    assert centile_words(0.04, -3.35) == '< 0.1'
    assert centile_words(99.6, 2.65) == '99.6'
    assert centile_words(float('nan'), float('nan')) == '–'


def test_separate_sides(result):
    members = tuple(
        Norm('Caudate', side, age=(20, 80), mean=(0.05, 0.05), sd=(0.01, 0.01)) for side in 'LR'
    )
    view = norms_view(result, 34.0, replace(norms(), norms=members, hemispheres='separate'))
    assert [(row['side'], texts(row)[0]) for row in view['rows']] == [
        ('right', '+5.00'), ('left', '+3.00'),
    ]  # fmt: skip


def test_the_prior_is_labelled_and_moved(result):
    view = norms_view(result, 34.0, prior_norms())
    html = page(view)
    assert 'Engineering prior, not published values' in html
    assert 'says nothing about health' in html
    assert 'moved to the reference of this map' in html
    caudate = next(row for row in view['rows'] if row['name'] == 'Caudate')
    assert texts(caudate)[3] == '0.049'  # 64 ppb * (1 - exp(-34 / 20)) less 3 ppb


def test_outside_the_ages_there_is_no_score(result):
    view = norms_view(result, 12.0, norms())
    assert [row['remark'] for row in view['rows']] == ['norm of 20 to 80 years'] * 2
    cells = texts(view['rows'][0])
    assert [cells[0], cells[1], cells[5]] == ['–', '–', '–']
    assert view['verdict'] == 'No region could be compared.'
    assert 'flagged</span>' not in page(view)


@pytest.mark.parametrize(
    ('changed', 'of_norms', 'age', 'words'),
    [
        ({'reference': {'region': 'csf'}}, {}, 34.0, 'The map is relative to csf'),
        ({'acquisition': None}, {}, 34.0, 'an unknown field strength'),
        ({}, {'field_strength_t': 1.5}, 34.0, 'The scan was made at 2.89 T'),
        ({}, {'atlas': 'Other'}, 34.0, 'The norms are of the atlas Other'),
        ({}, {}, None, 'The age at this scan is not known'),
    ],
)
def test_a_refusal_stands_on_the_page_instead_of_a_table(result, changed, of_norms, age, words):
    view = norms_view(replace(result, **changed), age, norms(**of_norms))
    assert not view['rows']
    html = page(view)
    assert words in html
    assert '<table' not in html


def test_without_norms_or_regions_there_is_nothing(result):
    assert norms_view(result, 34.0, None) == {}
    assert norms_view(replace(result, regions=()), 34.0, norms()) == {}
    assert page({}).strip() == ''
