"""Figures on disk: the same bytes each time, safe names, everything that a reader needs."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.cohort import Cohort, RegionTable
from qsmbids.group.figure_panels import Box
from qsmbids.group.figures import PANELS, label_of, write_figures
from qsmbids.group.panels import make_panels
from qsmbids.group.view import AtlasView, GroupView


class Fit:
    family, n, remarks, derived, identifiable = 'linear', 20, (), (), True
    age_range = (5.0, 70.0)

    def predict(self, age):
        return 0.001 * np.asarray(age, float)

    def band(self, age):
        return self.predict(age) - 0.002, self.predict(age) + 0.002

    def centile(self, age, p):
        return self.predict(age) + 0.01 * (p - 50) / 45


def view_of(groups, n=20):
    """Return a view with one region for each name of a group."""
    ages = np.linspace(5, 70, n)
    names = [f'R{i}' for i in range(len(groups))]
    regions = pd.DataFrame(
        {'index': range(len(groups)), 'name': names, 'region': names, 'abbreviation': names,
         'hemisphere': 'B', 'group': groups}
    )  # fmt: skip
    people = [f'sub-{i}' for i in range(n)]
    scans = pd.DataFrame(
        {'key': people, 'participant_id': people, 'age': ages, 'sex': 'F', 'site': '',
         'reference': 'whole-brain', 'curve_offset': np.nan, 'page': [f'{p}.html' for p in people]}
    )  # fmt: skip
    values = (0.001 * ages + 0.003 * np.sin(np.arange(n)))[:, None].repeat(len(groups), 1)
    table = RegionTable('QSMLifespan', 'Chimap', regions, {'mean': values.astype('f4')})
    choice = SimpleNamespace(
        best='linear', fits={'linear': Fit()},
        table=({'family': 'linear', 'weight_aicc': 0.8}, {'family': 'cubic', 'weight_aicc': 0.2}),
    )  # fmt: skip
    cohort = Cohort(scans, {('QSMLifespan', 'Chimap'): table}, pd.DataFrame(), (), [])
    choices = {(name, 'B'): choice for name in names[:-1]}
    return GroupView(cohort, [AtlasView(table, choices, {})])


def test_one_file_for_each_group_with_the_same_bytes(tmp_path):
    view = view_of(['deep grey', 'deep grey', 'white matter', ''])
    first = write_figures(tmp_path / 'a', view)
    second = write_figures(tmp_path / 'b', view)
    stems = ['deepgrey', 'whitematter', 'other']
    assert [p.name for p in first] == [
        f'group_atlas-QSMLifespan_desc-curves-{stem}.{kind}' for stem in stems
        for kind in ('svg', 'png')
    ]  # fmt: skip
    assert {p.parent for p in first} == {tmp_path / 'a' / 'figures'}
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    svg = first[0].read_text(encoding='utf-8')
    assert '<dc:date>' not in svg
    for text in ('Deep grey, atlas QSMLifespan', 'χ (ppm) relative to whole-brain', 'n = 20',
                 'Linear curve, AICc weight 0.80, fitted on 20 people', 'age (years)',
                 '95 % band of the mean', 'centiles 5, 95'):  # fmt: skip
        assert f'<!-- {text} -->' in svg, text
    assert '<!-- No curve -->' in first[4].read_text(encoding='utf-8')


def test_many_regions_are_numbered_files(tmp_path):
    written = write_figures(tmp_path, view_of(['cortex'] * (PANELS + 2)))
    assert [p.name.split('curves-')[1] for p in written if p.suffix == '.svg'] == [
        'cortex1.svg', 'cortex2.svg',
    ]  # fmt: skip
    titles = [p.read_text(encoding='utf-8') for p in written if p.suffix == '.svg']
    assert 'Cortex (2 of 2), atlas QSMLifespan' in titles[1]


def test_points_of_many_people_are_one_image(tmp_path):
    (svg, png) = write_figures(tmp_path, view_of(['x', 'x'], n=2000))
    assert svg.stat().st_size < 600_000
    assert '<image' in svg.read_text(encoding='utf-8')
    assert png.read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('group', ['../../etc', '<b>&', 'C:\\x', 'a/b'])
def test_names_stay_in_the_folder(tmp_path, group):
    for path in write_figures(tmp_path / 'out', view_of([group, 'other'])):
        assert path.parent == tmp_path / 'out' / 'figures'
        assert re.fullmatch(r'[\w-]+\.(svg|png)', path.name)
    assert label_of('..') == 'other'


def test_groups_with_the_same_letters_do_not_overwrite_each_other(tmp_path):
    names = {p.name for p in write_figures(tmp_path, view_of(['a b', 'ab', 'a-b']))}
    assert len(names) == 6


def test_drawn_points_are_the_values():
    view = view_of(['x', 'y'])
    panel = make_panels(view.cohort, view.atlases[0])['x'][0]
    box = Box(panel, 1.0, 2.0)
    low, high = panel.y_range
    assert box.y(low) == pytest.approx(2.0)
    assert box.y(2 * high) == box.y(high)  # beyond the axis: on its edge
    assert box.x(panel.x_range[0]) == pytest.approx(1.0)
    middle = box.y((low + high) / 2) - 2.0
    assert middle == pytest.approx((box.y(high) - 2.0) / 2)
