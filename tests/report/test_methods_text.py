"""The methods text says what ran, with its parameters, and cites works that exist."""

from dataclasses import replace

import pytest

from qsmbids.methods import CATALOGUE
from qsmbids.plan.models import PhaseScaling
from qsmbids.report.bibliography import works
from qsmbids.report.markdown import cited_keys, references_html, to_html
from qsmbids.report.methods import cite, methods_text

STEPS = [
    {'stage': 'background', 'label': 'V-SHARP', 'summary': 'spherical means',
     'parameters': {'radius_max_mm': 12.0, 'threshold': 0.05}, 'citation': 'li2011,wu2012'},
    {'stage': 'relaxometry', 'label': 'ARLO', 'summary': 'closed form', 'citation': 'pei2015'},
]  # fmt: skip


def test_parameters_of_the_steps_that_ran(acquisition):
    text = methods_text(acquisition, {'steps': STEPS, 'software': {'qsmbids': '1.2'}})
    assert '2 echoes at 5, 12.5 ms' in text
    assert '2.89 T' in text
    assert '160 × 192 × 144, voxels of 1 × 1 × 1.2 mm' in text
    assert 'V-SHARP [@li2011; @wu2012], spherical means' in text
    assert 'radius max 12 mm; threshold 0.05' in text
    assert 'Dipole inversion' not in text
    assert 'ROMEO' not in text
    assert 'slope 0.001, intercept -3' in text
    assert 'qsmbids 1.2' in text


def test_nothing_is_claimed_without_phase(acquisition):
    text = methods_text(replace(acquisition, phase_scaling=None), {'steps': STEPS[1:]})
    assert 'no phase image' in text
    assert 'radians' not in text


def test_inverted_and_complex_phase(acquisition):
    scaling = PhaseScaling(complex=True, sign=-1)
    text = methods_text(replace(acquisition, phase_scaling=scaling), {'steps': STEPS})
    assert 'argument of the complex images and inverted' in text


def test_built_in_atlas_is_called_what_it_is(acquisition):
    atlas = {'name': 'QSMLifespan', 'cohort': '4', 'age_range': [30, 40]}
    text = methods_text(acquisition, {'atlas': atlas, 'reference': 'whole-brain'})
    assert 'adult average at every age' in text
    assert 'engineering priors, not published norms' in text
    assert 'cohort 4 (30 to 40 years), chosen for an age of 34.2 years' in text
    other = methods_text(acquisition, {'atlas': {'name': 'Mine'}})
    assert 'engineering' not in other


def test_every_citation_of_the_catalogue_is_in_the_bibliography():
    cited = {key for method in CATALOGUE for key in method.citation.split(',') if key}
    assert cited <= set(works())


def test_every_work_has_a_doi():
    assert len(works()) > 15
    for work in works().values():
        assert work.doi.startswith('10.')
        assert work.url == f'https://doi.org/{work.doi}'


def test_html_numbers_citations_in_order_and_lists_each_once(acquisition):
    text = methods_text(acquisition, {'steps': STEPS})
    html = to_html(text, prefix='r')
    assert '<a href="#r-2">2</a>, <a href="#r-3">3</a>' in html
    references = references_html(text, prefix='r')
    assert references.count('<li') == len(cited_keys(text)) == 4
    assert 'id="r-4"' in references
    assert 'ARLO' in references


def test_stage_names_with_asterisks_survive(acquisition):
    html = to_html(methods_text(acquisition, {'steps': STEPS}))
    assert '<strong>R2* and T2*</strong>: ARLO' in html
    assert 'Ma*ker' in html


def test_unknown_citation_stays_visible():
    assert '[nobody1999]' in to_html('As in [@nobody1999].')
    assert references_html('As in [@nobody1999].') == ''


@pytest.mark.parametrize(
    'hostile', ['<img src=x onerror=alert(1)>', '[x](javascript:alert(1))', '\x000\x00', '**<b>']
)
def test_text_of_a_sidecar_never_becomes_a_tag(acquisition, hostile):
    changed = replace(acquisition, metadata={'Manufacturer': hostile})
    step = {'stage': hostile, 'label': hostile, 'summary': hostile, 'parameters': {'a': hostile}}
    html = to_html(methods_text(changed, {'steps': [step], 'reference': hostile}))
    assert '<img' not in html
    assert 'href="javascript' not in html
    assert '<b>' not in html


def test_citation_from_a_list_or_text():
    assert cite(['a', 'b']) == cite('a, b') == '[@a; @b]'


@pytest.mark.parametrize(('name', 'apart'), [('sstv', True), ('rts', False)])
def test_background_removal_of_the_local_field_alone(acquisition, name, apart):
    inversion = {'stage': 'inversion', 'method': name, 'label': name}
    text = methods_text(acquisition, {'steps': [inversion, STEPS[0]]})
    assert ('**Background field removal (for the local field map)**: V-SHARP' in text) is apart
    assert ('**Background field removal**: V-SHARP' in text) is not apart


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('', 'a fixed share of R2* stands for R2&#x27; in the separation, which is experimental'),
        ('/maps/sub-01_T2map.nii.gz', 'R2&#x27; was R2* minus R2, from a map of T2 that'),
        ('/maps/sub-01_R2map.nii', 'R2&#x27; was R2* minus R2, from a map of R2 that'),
    ],
)
def test_origin_of_r2prime(acquisition, path, words):
    separation = {'stage': 'separation', 'method': 'chisep', 'label': 'chi-separation'}
    scan = replace(acquisition, t2_map=path)
    assert words in to_html(methods_text(scan, {'steps': [separation]}))
    assert 'minus R2' not in methods_text(scan, {'steps': STEPS})


def test_mask_made_with_a_supplied_one(acquisition):
    settings = {'steps': STEPS, 'mask': 'bet & user'}
    assert '`bet & user`, where `user` is a mask that' in methods_text(acquisition, settings)
