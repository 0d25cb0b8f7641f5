"""The age curve behind each value, and what every picture of it says."""

import math
from xml.etree import ElementTree

import pytest

from qsmbids.lifespan.prior import chi_at_age
from qsmbids.report.agecurves import (
    NOTICE,
    age_charts,
    curve_points,
    draw_age_curves,
    expected_chi,
    pair_sides,
)
from qsmbids.report.chart import Chart, Mark, chart_svg, padded_range


def test_sides_come_together_by_region(regions):
    found = {values.region: values for values in pair_sides(regions)}
    assert found['Caudate'].mean == pytest.approx(0.05)
    assert found['Caudate'].left == 0.044
    assert math.isnan(found['CorpusCallosumGenu'].mean)


def test_one_side_alone_is_the_mean(regions):
    assert pair_sides(regions[:2])[1].mean == 0.044


def test_curve_is_moved_to_the_reference_of_the_map():
    plain = chi_at_age('Caudate', 30.0)
    assert expected_chi('Caudate', 30.0) == pytest.approx(plain)
    assert expected_chi('Caudate', 30.0, -0.004) == pytest.approx(plain - 0.004)
    assert expected_chi('Caudate', 30.0, lambda age: age / 1000) == pytest.approx(plain + 0.03)
    assert math.isnan(expected_chi('WholeBrain', 30.0))
    assert curve_points('WholeBrain') == []


def test_regions_without_curve_or_value_have_no_panel(regions):
    charts = age_charts(regions, 34.2, reference='whole-brain')
    assert {group: [c.name for c in found] for group, found in charts.items()} == {
        'deep grey': ['Caudate']
    }


def test_every_panel_says_what_the_curve_is_and_the_reference(regions):
    (chart,) = age_charts(regions, 34.2, reference='whole-brain')['deep grey']
    svg = chart_svg(chart)
    assert NOTICE == 'engineering prior, not published norms'
    assert NOTICE in svg
    assert 'relative to whole-brain' in svg
    assert [mark.shape for mark in chart.marks] == ['left', 'right', 'both']
    assert chart.marks[2].y == pytest.approx(0.05)
    ElementTree.fromstring(svg)


def test_value_without_age_is_a_level(regions):
    (chart,) = age_charts(regions, None)['deep grey']
    assert chart.marks == ()
    assert chart.level == pytest.approx(0.05)
    assert 'class="level"' in chart_svg(chart)


def test_picture_stands_alone(regions, tmp_path):
    figure = draw_age_curves(regions, 34.2, tmp_path / 'x.svg', offset_ppm=-0.004, reference='csf')
    text = figure.path.read_text(encoding='utf-8')
    root = ElementTree.fromstring(text)
    assert root.tag.endswith('svg')
    assert 'http' not in text.replace('http://www.w3.org/2000/svg', '')
    assert 'relative to csf' in text
    assert draw_age_curves(regions[:1], 34.2, tmp_path / 'y.svg') is None


def test_values_lie_inside_the_axes():
    low, high = padded_range([0.01, 0.2, math.nan])
    assert low < 0.01
    assert high > 0.2
    low, high = padded_range([0.05])
    assert high - low >= 0.04


def test_names_and_links_are_escaped():
    mark = Mark(5, 1, 'left', '<b>"', 'sub-1.html?a&b"')
    svg = chart_svg(Chart('<script>', '"&', (0, 10), (0, 2), marks=(mark,)))
    ElementTree.fromstring(svg)
    assert '<script>' not in svg
    assert 'href="sub-1.html?a&amp;b&quot;"' in svg
