"""The group page: complete, self-contained, escaped, readable without a script, honest."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.cohort import Cohort, RegionTable
from qsmbids.group.missing import Missing
from qsmbids.group.page import write_group_page
from qsmbids.group.page_cohort import tiles
from qsmbids.group.page_data import PPM_STEP, data_script, groupings, unpack
from qsmbids.group.page_tables import analysis_table, curve_table, flagged_table
from qsmbids.group.panels import age_axis, make_panels, prior_offset, value_axis
from qsmbids.group.phrases import curve_sentences, derived_words
from qsmbids.group.problems import Problem
from qsmbids.group.view import Analysis, AtlasView, GroupView
from qsmbids.lifespan.identify import extrapolations
from qsmbids.report.values import fixed

HOSTILE = '<script>alert("x")</script>&\'</script>'
REGIONS = (('Caudate', 'B', 'deep grey'), ('Putamen', 'L', 'deep grey'),
           ('Putamen', 'R', 'deep grey'), ('Pons', 'B', 'brain stem'))  # fmt: skip
VOID = {'meta', 'br', 'input', 'link', 'img'}


class Fit:
    """A straight line that refuses ages without people."""

    family, identifiable, level = 'linear', True, 0.95
    remarks = ('The spread is taken as the same at all ages.',)

    def __init__(self, ages):
        self.age_range, self.n = (float(min(ages)), float(max(ages))), len(ages)
        self.derived = (
            SimpleNamespace(name='age_at_90_percent', value=25.6, low=22.0, high=31.0,
                            unit='year', description='age'),
        )  # fmt: skip

    def predict(self, age):
        assert np.all(np.asarray(age) >= self.age_range[0] - 1e-9)
        assert np.all(np.asarray(age) <= self.age_range[1] + 1e-9)
        return 0.02 + 0.001 * np.asarray(age, float)

    def band(self, age):
        return self.predict(age) - 0.002, self.predict(age) + 0.002

    def centile(self, age, p):
        return self.predict(age) + 0.01 * (p - 50) / 45


def choice(ages):
    rows = tuple({'family': f, 'weight_aicc': w} for f, w in (('linear', 0.9), ('constant', 0.1)))
    return SimpleNamespace(best='linear', table=rows, fits={'linear': Fit(ages)}, tests=())


def make_cohort(n, *, name='', reference='whole-brain'):
    rng = np.random.default_rng(3)
    ages = np.round(np.linspace(4, 81, n), 1)
    people = [f'sub-{i + 1:03d}' for i in range(n)]
    regions = pd.DataFrame(
        [(i, name + r, r, h, g, name + r) for i, (r, h, g) in enumerate(REGIONS)],
        columns=['index', 'name', 'abbreviation', 'hemisphere', 'group', 'region'],
    )
    values = 0.02 + 0.001 * ages[:, None] + rng.normal(0, 0.01, (n, len(REGIONS)))
    values[1, 0] = np.nan
    scans = pd.DataFrame(
        {
            'key': people, 'participant_id': people, 'session_id': '', 'age': ages,
            'sex': np.resize(['F', 'M', ''], n), 'site': np.resize(['A', 'B'], n),
            'field_strength_t': 3.0, 'reference': reference, 'reference_value': 0.01,
            'units': 'ppm', 'version': '1', 'cohort': '4', 'curve_offset': -0.004,
            'page': [f'{p}.html' for p in people], 'acq_time': '',
        }
    )  # fmt: skip
    table = RegionTable('QSMLifespan', 'Chimap', regions, {'mean': values.astype('f4')})
    missing = (Missing('sub-999', '', name + 'never run'),)
    return Cohort(scans, {('QSMLifespan', 'Chimap'): table}, pd.DataFrame(), missing, [])


def make_view(n=12, *, name='', reference='whole-brain', z=True, **more):
    cohort = make_cohort(n, name=name, reference=reference)
    table = cohort.tables['QSMLifespan', 'Chimap']
    fits = {(name + r, h): choice(cohort.scans['age'].to_numpy()) for r, h, _ in REGIONS[:3]}
    keys = list(cohort.scans['key'])
    scores = pd.DataFrame(
        {'key': keys, 'region': name + 'Caudate', 'hemisphere': 'B',
         'z': np.linspace(-3.2, 2, n), 'value': 0.05, 'flagged': np.linspace(-3.2, 2, n) < -3}
    )  # fmt: skip
    atlas = AtlasView(
        table, fits, {(name + 'Pons', 'B'): f'{name}Only 3 people have a value.'},
        scores if z else None, name + 'engineering prior', name + 'Made by us.',
    )  # fmt: skip
    return GroupView(cohort, [atlas], **more)


def write(tmp_path, view):
    path = tmp_path / 'group.html'
    write_group_page(path, view, version='1.0')
    return path.read_text(encoding='utf-8')


class Page(HTMLParser):
    """Checks that every element is closed, and collects what a page loads and links to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.links, self.scripts, self.ids = [], [], [], [], []
        self.data = ''
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [values[k] for k in ('src', 'srcset', 'poster') if k in values]
        self.scripts += [values.get('type', '')] if tag == 'script' else []
        self.links += [values['href']] if tag == 'a' else []
        self.ids += [values['id']] if 'id' in values else []
        assert not any(name.startswith('on') for name in values)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == 'script' and data.lstrip().startswith('{"keys"'):
            self.data = data


def without_script(html):
    return re.sub(r'<script.*?</script>', '', html, flags=re.DOTALL)


@pytest.mark.parametrize('n', [3, 30, 400])
def test_page_is_valid_and_loads_nothing(tmp_path, n):
    html = write(tmp_path, make_view(n))
    page = Page(html)
    assert page.loaded == []
    assert len(page.ids) == len(set(page.ids))
    assert page.scripts == ['application/json', '', '']
    assert "default-src 'none'" in html
    for link in page.links:
        assert re.fullmatch(r'#[\w-]+|sub-\d+\.html|group\S*', link), link
        assert not link.startswith('#') or link[1:] in page.ids
    assert html.count('http') == html.count('http://www.w3.org/2000/svg') + html.count(
        'http-equiv'
    )


def test_each_region_has_a_panel_with_unit_reference_and_n(tmp_path):
    html = without_script(write(tmp_path, make_view(12)))
    panels = re.findall(r'<figure class="panel".*?</figure>', html, flags=re.DOTALL)
    assert len(panels) == 4
    for panel, name, n in zip(
        panels, ('Caudate', 'Putamen, left', 'Putamen, right', 'Pons'), (11, 12, 12, 12),
        strict=True,
    ):  # fmt: skip
        assert f'>{name}</text>' in panel
        assert '>χ (ppm) relative to whole-brain</text>' in panel
        assert f'>n = {n} · ' in panel
        assert '>age (years)</text>' in panel
    assert 'Linear curve, AICc weight 0.90, fitted on 12 people.' in panels[0]
    assert '90 % of the growth is reached at 26 y (22 to 31).' in panels[0]
    assert 'No curve.</strong> Only 3 people have a value.' in panels[3]
    assert 'class="fit"' not in panels[3]


def test_points_are_links_without_a_script_if_people_are_few(tmp_path):
    html = without_script(write(tmp_path, make_view(12)))
    assert len(re.findall(r'<a href="sub-\d+\.html"><circle', html)) == 4 * 12 - 1
    value = fixed(make_cohort(12).tables['QSMLifespan', 'Chimap'].values['mean'][11, 1])
    assert re.search(
        rf'<a href="sub-012.html"><circle class="left"[^>]*><title>sub-012: {value} ppm at 81 y',
        html,
    )
    many = without_script(write(tmp_path, make_view(400)))
    assert '<a href="sub-001.html"><circle' not in many
    assert 'class="fit"' in many
    assert '<noscript>' in many


def test_values_of_the_points_come_back_from_the_page(tmp_path):
    view = make_view(400)
    data = json.loads(Page(write(tmp_path, view)).data)
    table = view.atlases[0].table.values['mean']
    found = unpack(data['atlases'][0]['values'], (4, 400)).T
    assert np.array_equal(np.isnan(found), np.isnan(table))
    assert np.nanmax(np.abs(found - table)) <= PPM_STEP / 2 + 1e-7
    assert data['ages'] == view.cohort.scans['age'].tolist()
    assert data['pages'][7] == 'sub-008.html'
    z = unpack(data['atlases'][0]['z'], (4, 400))
    assert z[0, 0] == pytest.approx(-3.2)
    assert np.isnan(z[1:]).all()
    assert data['draw'] is True


def test_no_curve_leaves_the_sampled_ages(tmp_path):
    view = make_view(12)
    panels = [p for some in make_panels(view.cohort, view.atlases[0]).values() for p in some]
    for panel in panels[:3]:  # the fit of this test refuses other ages
        assert panel.lines.ages[0] == panel.ages.min()
        assert panel.lines.ages[-1] == panel.ages.max()
    caudate = panels[0]
    assert caudate.x_range == (0, 90)
    assert min(age for age, _ in caudate.prior) == caudate.ages.min()
    assert max(age for age, _ in caudate.prior) == caudate.ages.max()


def test_same_view_gives_the_same_bytes(tmp_path):
    assert write(tmp_path, make_view(12)) == write(tmp_path, make_view(12))


def test_hostile_names_are_escaped_everywhere(tmp_path):
    frame = pd.DataFrame({'key': ['sub-001'], 'term': [HOSTILE], HOSTILE: [1.0]})
    view = make_view(
        12, name=HOSTILE, reference=HOSTILE,
        problems=[Problem(HOSTILE, HOSTILE, HOSTILE, HOSTILE)], remarks=[HOSTILE],
        analyses=[Analysis(HOSTILE, HOSTILE, frame, file=f'group{HOSTILE}.tsv')],
    )  # fmt: skip
    view.cohort.scans['diagnosis'] = ['control', HOSTILE] * 6
    view.cohort.scans.loc[0, 'key'] = HOSTILE
    html = write(tmp_path, view)
    assert '<script>alert' not in html
    page = Page(html)
    assert page.scripts == ['application/json', '', '']
    assert json.loads(page.data)['keys'][0] == HOSTILE
    assert not any(link.startswith(('http', 'javascript', '//')) for link in page.links)
    assert '<' not in data_script({'a': '</script><!--\u2028'})


def test_problems_missing_and_analyses_are_told(tmp_path):
    frame = pd.DataFrame(
        {'participant_id': ['sub-002'], 'estimate': [-0.0123], 'p': [0.00001], 'seen': [True]}
    )
    view = make_view(
        12,
        problems=[Problem('Odd.', 'It matters.', 'Look.', 'sub-7', 'note'),
                  Problem('Bad.', severity='error')],
        analyses=[Analysis('chi ~ age', 'First.\n\nSecond.', frame, file='group_x.tsv')],
        files=[tmp_path / 'group_x.tsv', tmp_path / 'group_x.json', tmp_path / 'figures/a b.svg'],
    )  # fmt: skip
    html = write(tmp_path, view)
    assert html.index('Bad.') < html.index('sub-7: Odd.')
    assert 'It matters.' in html
    assert 'never run' in html
    assert '<p>Second.</p>' in html
    assert '<a href="sub-002.html">sub-002</a>' in html
    assert '−0.0123' in html
    assert '&lt;0.001' in html
    assert 'href="figures/a%20b.svg"' in html
    assert 'group_x.json' not in html
    assert '1 of 12 values are flagged, of 1 participant.' in html
    assert '<strong>engineering prior</strong>' in html


def test_long_tables_are_cut_and_say_so():
    view = make_view(600)
    frame = pd.DataFrame({'key': ['sub-001'] * 700, 'z': range(700)})
    table = analysis_table(Analysis('a', 'b', frame), view.cohort.scans)
    assert len(table['rows']) == 500
    assert 'first 500 of 700' in table['cut']
    flagged = flagged_table(view.cohort, view.atlases[0])
    assert flagged['rows'][0][0]['text'] == 'sub-001'
    assert flagged['cut'] == ''
    sizes = [float(row[3]['sort']) for row in flagged['rows']]
    assert sizes == sorted(sizes)  # all negative here: most extreme first


def test_missing_counts_people_and_one_is_one():
    cohort = make_cohort(3)
    missing = (Missing('sub-9', 'sub-9_ses-1', 'x'), Missing('sub-9', 'sub-9_ses-2', 'x'))
    found = tiles(replace(cohort, scans=cohort.scans[:1], missing=missing))
    assert ('1', 'missing') in found
    assert ('1', 'participant') in found
    assert ('1', 'acquisition') in found


def test_legend_tells_only_what_is_drawn(tmp_path):
    html = write(tmp_path, make_view(12))
    assert 'mean of both sides' not in html  # this cohort has left and right apart
    assert 'confidence band of the mean</li>' in html
    view = make_view(12)
    bare = replace(view, atlases=[replace(view.atlases[0], choices={})])
    assert 'confidence band of the mean</li>' not in write(tmp_path, bare)


def test_constant_and_spline_say_their_values():
    fit = Fit([20.0, 60.0])
    fit.derived, fit.remarks = (), ()
    fit.band = lambda age: (np.array([0.137]), np.array([0.141]))
    fit.predict, fit.sd, fit.family = lambda age: 0.139, lambda age: 0.012, 'constant'
    assert curve_sentences(fit) == [
        'Mean 0.139 ppm (0.137 to 0.141), SD between people 0.012 ppm.'
    ]
    fit.family = 'spline'
    assert curve_sentences(fit) == [
        '0.139 ppm (0.137 to 0.141) at the youngest age (20 y), '
        '0.139 ppm (0.137 to 0.141) at the oldest (60 y).'
    ]
    view = make_view(12)
    panels = [p for some in make_panels(view.cohort, view.atlases[0]).values() for p in some]
    constant = SimpleNamespace(best='constant', table=(), fits={'constant': fit})
    choices = {**view.atlases[0].choices, panels[0].key: constant}
    rows = curve_table(replace(view.atlases[0], choices=choices), panels)['rows']
    assert [row[-1]['text'] for row in rows] == ['–', 'yes', 'yes']


@pytest.mark.parametrize(
    ('low', 'high', 'says'),
    [
        (60.2, 70.0, 'extremum, 60.2 to 70.0 years, reaches beyond the ages of the cohort (60.4'),
        (60.38, 70.0, ''),
        (55.0, 70.0, 'extremum, 55 to 70 years, reaches beyond the ages of the cohort (60 to 79'),
        (62.0, np.inf, 'extremum, at least 62 years, reaches beyond the ages'),
    ],
)
def test_a_remark_does_not_contradict_itself_by_rounding(low, high, says):
    fit = Fit([60.4, 79.0])
    one = SimpleNamespace(name='extremum_age', value=65.0, low=low, high=high, unit='year',
                          description='age of the extremum')  # fmt: skip
    fit.derived = (one,)
    fit.remarks = extrapolations(fit.derived, *fit.age_range)
    assert len(fit.remarks) == 1
    remarks = curve_sentences(fit)[1:]
    assert [says in text for text in remarks] == ([True] if says else [])


def test_nobody_with_an_age_is_a_sentence(tmp_path):
    view = make_view(6)
    view.cohort.scans['age'] = np.nan
    html = write(tmp_path, view)
    assert 'Nobody has both a known age and a value' in html
    assert ('6', 'participants') in tiles(view.cohort)
    Page(html)


def test_far_values_do_not_squash_the_axis_and_are_counted():
    values = np.append(np.linspace(0.02, 0.06, 40), 0.9)
    (low, high), outside = value_axis(values, None)
    assert outside == 1
    assert high < 0.1
    assert low > -0.02
    (low, high), outside = value_axis(np.full(5, 0.03), None)
    assert low < 0.03 < high
    assert outside == 0


def test_ages_in_round_years_and_offsets_between_them():
    assert age_axis(np.array([np.nan])) == (0.0, 90.0)
    assert age_axis(np.array([30.0])) == (30.0, 32.0)
    scans = pd.DataFrame(
        {'age': [10.0, 30, 50, 30], 'curve_offset': [-2e-3, -6e-3, np.nan, -8e-3]}
    )
    assert prior_offset(scans)(20) == pytest.approx(-0.0045)
    assert prior_offset(scans)(80) == pytest.approx(-0.007)
    assert prior_offset(scans.assign(curve_offset=np.nan)) is None


def test_kinds_of_people_are_found_and_numbers_are_not():
    scans = make_cohort(6).scans.assign(score=range(6), note=[f't{i}' for i in range(6)])
    scans['note2'] = [f'{i}' for i in range(6)]
    assert [name for name, _, _ in groupings(scans)] == ['sex', 'site', 'note', 'note2']
    names, levels, codes = groupings(scans)[0]
    assert (names, levels, codes) == ('sex', ['F', 'M'], [0, 1, -1, 0, 1, -1])


def test_script_has_no_syntax_that_the_template_would_eat():
    script = Path(write_group_page.__code__.co_filename).parents[1] / 'report/templates/group.js'
    text = script.read_text(encoding='utf-8')
    assert not re.search(r'\{\{|\{%|\{#', text)


def test_intervals_in_words():
    one = SimpleNamespace(name='x', value=0.0042, low=-np.inf, high=0.01, unit='ppm',
                          description='depth')  # fmt: skip
    assert derived_words(one) == 'Depth: 0.0042 ppm (at most 0.010).'
    fit = Fit([5.0, 80.0])
    fit.predict = lambda age: -0.03 + 1e-5 * (np.asarray(age) - 30) ** 2
    fit.derived = (
        SimpleNamespace(name='extremum_age', value=30.0, low=26, high=38, unit='year'),
        SimpleNamespace(name='extremum', value=-0.03, low=np.nan, high=np.nan, unit='ppm'),
    )  # fmt: skip
    assert curve_sentences(fit)[0] == 'Minimum at 30 y (26 to 38), −0.030 ppm (no interval).'
