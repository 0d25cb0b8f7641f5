"""The page of a participant: complete, self-contained, escaped, honest."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from qsmbids.plan.models import Issue, Participant, Severity
from qsmbids.report.models import AcquisitionResult, Figure, QCValue, Status
from qsmbids.report.page import overall_status, verdict, write_participant_page
from qsmbids.report.view import inputs_view

RUN = {'command': 'qsmbids /bids /out participant', 'version': '1.2.3', 'run_id': '20260101-1_x'}
HOSTILE = '<script>alert("x")</script>&\'"'
ERROR = Issue('NO_PARTNER', Severity.ERROR, 'Echo 2 has no magnitude.', 'QSM needs both.',
              'Fix the name.')  # fmt: skip
ALLOWED_LINKS = ('https://doi.org/', 'https://creativecommons.org/')


class Resources(HTMLParser):
    """Collects what a page would load, where it leads, and its headings and ids."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.loaded += [values[k] for k in ('src', 'srcset', 'data', 'poster') if k in values]
        if tag == 'link':
            self.loaded.append(values.get('href'))
        if tag == 'a':
            self.links.append(values['href'])
        if 'id' in values:
            self.ids.append(values['id'])


@pytest.fixture
def picture(tmp_path):
    from PIL import Image

    Image.new('RGB', (8, 8)).save(tmp_path / 'chi.webp')
    return Figure(tmp_path / 'chi.webp', 'chi', 'Map', 'Caption of the map')


@pytest.fixture
def result(acquisition, regions, picture):
    return AcquisitionResult(
        key='sub-01',
        acquisition=acquisition,
        figures=[picture],
        regions=regions,
        regions_r2star=[{'index': '1', 'mean': '24.4'}],
        qc=[
            QCValue('field_noise_hz', 0.5, 'Hz', None, 2.0, 'Noise of the field.'),
            QCValue('rim', 9.0, '', 0.0, 3.0, 'Leftover background.'),
            QCValue('streaks', None, '', None, 1.0, 'Streaks.'),
        ],
        atlas={'name': 'QSMLifespan', 'cohort': '4', 'age_range': [30, 40]},
        reference={'region': 'whole-brain', 'value_ppm': 0.0123, 'n_voxels': 1234567},
        steps=[{'name': 'Unwrapping', 'seconds': 75, 'peak_gb': 1.5},
               {'name': 'Registration', 'seconds': 30, 'peak_gb': None}],
        settings={'steps': [{'stage': 'inversion', 'label': 'RTS', 'citation': 'kames2018'}]},
        outputs=['sub-01/anat/sub-01 x_Chimap.nii.gz'],
        curve_offset_ppm=-0.004,
    )  # fmt: skip


def page(tmp_path, participant, results):
    path = tmp_path / 'out' / 'sub-01.html'
    write_participant_page(path, participant=participant, results=results, **RUN)
    assert [p.name for p in path.parent.iterdir()] == ['sub-01.html']  # nothing half-written
    return path.read_text(encoding='utf-8')


def plain(html):
    """Return the text of a page without tags."""
    body = re.sub(r'<(style|script)>.*?</\1>', '', html, flags=re.DOTALL)
    return ' '.join(re.sub(r'<[^>]+>', ' ', body).split())


def test_page_loads_nothing_from_anywhere(tmp_path, acquisition, result):
    html = page(tmp_path, Participant('01', (acquisition,)), [result])
    found = Resources(html)
    assert found.loaded
    assert all(source.startswith('data:image/') for source in found.loaded)
    assert 'link' not in found.tags
    assert "default-src 'none'" in html
    assert not re.search(r'@import|url\(', html)
    for link in found.links:
        assert link.startswith(('#', 'sub-01/', *ALLOWED_LINKS)), link
    assert html.count('http') == sum(
        html.count(text) for text in (*ALLOWED_LINKS, 'http-equiv', 'http://www.w3.org/2000/svg')
    )


def test_every_anchor_exists_once(tmp_path, acquisition, result):
    second = replace(result, key='sub-01_run-2')
    found = Resources(page(tmp_path, Participant('01', (acquisition,)), [result, second]))
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links if link.startswith('#')} <= set(found.ids)


def test_sections_come_in_order(tmp_path, acquisition, result):
    html = page(tmp_path, Participant('01', (acquisition,)), [result])
    order = ['verdict', 'a1-inputs', 'a1-chi', 'a1-regions', 'a1-qc', 'a1-methods', 'provenance',
             'errors']  # fmt: skip
    assert [i for i in Resources(html).ids if i in order] == order
    assert 'id="a1-mask"' not in html  # there is no such picture


def test_what_was_inferred_is_tagged_with_its_source(tmp_path, acquisition, result):
    text = plain(page(tmp_path, Participant('01', (acquisition,)), [result]))
    assert '0.001 × stored value −3 [inferred: 12-bit integers]' in text
    assert '34.2 y [table: participants.tsv] atlas cohort 4, 30 to 40 years' in text
    assert '(0.000, −0.600, 0.800) [header: sform]' in text
    assert 'Obliquity 36.9°' in text


def test_numbers_of_the_table_and_the_curve(tmp_path, acquisition, result):
    html = page(tmp_path, Participant('01', (acquisition,)), [result])
    row = next(r for r in html.split('<tr') if '<td>Caudate</td><td>left</td>' in r)
    cells = re.findall(r'<td class="num"[^>]*>([^<]*)</td>', row)
    # prior 0.0638 * (1 - exp(-0.05 * 34.2)) = 0.0522 ppm, moved by -0.004
    assert cells == ['0.044', '0.020', '0.050', '0.048', '−0.004', '812', '97 %', '24.4']
    missing = next(r for r in html.split('<tr') if '<td>Corpus callosum genu</td>' in r)
    assert '–</td>' in missing


def test_limits_of_the_atlas_are_said_plainly(tmp_path, acquisition, result):
    text = plain(page(tmp_path, Participant('01', (acquisition,)), [result]))
    assert 'adult average at every age' in text
    assert 'engineering priors' in text
    assert 'not published norms' in text
    assert 'relative to whole-brain; 0.0123 ppm was subtracted' in text


def test_quality_outside_its_range_is_flagged_in_words(tmp_path, acquisition, result):
    text = plain(page(tmp_path, Participant('01', (acquisition,)), [result]))
    assert 'Field noise' in text
    assert text.count('▲ outside') == 1
    assert 'plausible: 0 to 3' in text


def test_provenance_and_no_errors(tmp_path, acquisition, result):
    html = page(tmp_path, Participant('01', (acquisition,)), [result])
    text = plain(html)
    assert 'No errors to report.' in text
    assert 'qsmbids 1.2.3' in text
    assert RUN['command'] in text
    assert 'Unwrapping 1 min 15 s 1.50 GB' in text
    assert 'href="sub-01/anat/sub-01%20x_Chimap.nii.gz"' in html


def test_errors_are_folded_with_hint_and_crash_file(tmp_path, acquisition, result):
    error = {'node': 'inversion', 'message': 'mask too small\nmore', 'hint': 'Look at the mask.',
             'crash_file': 'sub-01/log/crash.txt'}  # fmt: skip
    failed = AcquisitionResult('sub-01', acquisition, Status.FAILED, errors=[error])
    html = page(tmp_path, Participant('01', (acquisition,)), [failed])
    assert 'inversion: mask too small</summary>' in html
    text = plain(html)
    assert '1 of 1 acquisition failed. 1 error' in text
    assert 'Look at the mask.' in text
    assert 'sub-01/log/crash.txt' in text


def test_participant_with_nothing_usable(tmp_path, acquisition):
    person = Participant('01', (acquisition.with_issues(ERROR),))
    html = page(tmp_path, person, [])
    text = plain(html)
    assert 'Nothing of this participant could be processed.' in text
    assert 'Echo 2 has no magnitude. QSM needs both. Fix the name.' in text
    assert text.count('Echo 2 has no magnitude.') == 1
    found = Resources(html)
    assert {link[1:] for link in found.links if link.startswith('#')} <= set(found.ids)


def test_acquisition_that_was_left_out_is_named(tmp_path, acquisition, result):
    other = replace(acquisition, entities=(('sub', '01'), ('run', '2'))).with_issues(ERROR)
    person = Participant('01', (acquisition, other))
    text = plain(page(tmp_path, person, [result]))
    assert 'sub-01_run-2 was not processed' in text
    assert '1 left out' in text
    assert overall_status(person, [result]) is Status.WARNINGS


@pytest.mark.parametrize(
    ('states', 'expected'),
    [(['complete'], 'complete'), (['complete', 'warnings'], 'warnings'),
     (['warnings', 'failed'], 'failed'), ([], 'failed')],
)  # fmt: skip
def test_verdict_is_the_worst(acquisition, states, expected):
    person = Participant('01', (acquisition,) * len(states))
    results = [AcquisitionResult(str(i), acquisition, s) for i, s in enumerate(states)]
    status = overall_status(person, results)
    assert status == expected
    assert verdict(status, person, results)


def test_note_is_no_warning(acquisition):
    note = Issue('NOTE', Severity.NOTE, 'By the way.')
    person = Participant('01', (acquisition.with_issues(note),))
    assert overall_status(person, [AcquisitionResult('sub-01')]) is Status.COMPLETE


def test_hostile_text_is_escaped_everywhere(tmp_path, acquisition, result):
    row = {'index': HOSTILE, 'name': HOSTILE, 'hemisphere': HOSTILE, 'group': HOSTILE,
           'mean': HOSTILE}  # fmt: skip
    bad = replace(
        result,
        key=HOSTILE,
        acquisition=replace(acquisition, entities=(('sub', HOSTILE),)).with_issues(
            Issue(HOSTILE, Severity.WARNING, HOSTILE, HOSTILE, HOSTILE)
        ),
        figures=[replace(result.figures[0], title=HOSTILE, caption=HOSTILE)],
        regions=[row, *result.regions],
        qc=[QCValue(HOSTILE, 1.0, HOSTILE, meaning=HOSTILE)],
        atlas={'name': HOSTILE, 'cohort': HOSTILE, 'note': HOSTILE},
        reference={'region': HOSTILE},
        steps=[{'name': HOSTILE, 'seconds': HOSTILE}],
        errors=[{'node': HOSTILE, 'message': HOSTILE, 'hint': HOSTILE, 'crash_file': HOSTILE}],
        outputs=[HOSTILE],
    )
    path = tmp_path / 'x.html'
    write_participant_page(
        path, participant=Participant(HOSTILE, (acquisition,), bad.acquisition.issues),
        results=[bad, bad], command=HOSTILE, version=HOSTILE, run_id=HOSTILE,
    )  # fmt: skip
    html = path.read_text(encoding='utf-8')
    assert HOSTILE not in html
    assert Resources(html).tags.count('script') == 1  # our own
    assert html.count('alert(&#34;x&#34;)') + html.count('alert(&quot;x&quot;)') > 15


def test_picture_drawn_twice_is_shown_once(tmp_path, acquisition, result, picture):
    later = replace(picture, caption='The later one')
    html = page(
        tmp_path, Participant('01', (acquisition,)), [replace(result, figures=[picture, later])]
    )
    assert html.count('<figure>') == 1
    assert 'The later one' in html


def test_lost_picture_leaves_a_page(tmp_path, acquisition, result, picture):
    picture.path.unlink()
    html = page(tmp_path, Participant('01', (acquisition,)), [result])
    assert '<figure>' not in html
    assert 'a1-regions' in html


def test_result_without_anything(tmp_path, acquisition):
    text = plain(page(tmp_path, Participant('01', (acquisition,)), [AcquisitionResult('sub-01')]))
    assert 'No errors to report.' in text


def test_age_that_is_not_known(tmp_path, acquisition, result):
    unknown = replace(
        result,
        acquisition=replace(acquisition, age_years=None),
        atlas={**result.atlas, 'age_used': 40},
    )
    text = plain(page(tmp_path, Participant('01', (acquisition,)), [unknown]))
    assert 'not known; 40 y assumed [inferred]' in text


def test_same_results_give_the_same_bytes(tmp_path, acquisition, result):
    person = Participant('01', (acquisition,))
    assert page(tmp_path, person, [result]) == page(tmp_path, person, [result])


@pytest.mark.parametrize(
    ('mask', 'given', 'shown'),
    [
        ('bet', '', ('bet', 'bet: brain, by a surface model of the magnitude', 'default')),
        ('bet', '/m/mine.nii', ('bet', 'bet: brain, by a surface model of the magnitude',
                                'command line')),
        ('user', '/m/mine.nii', ('mine.nii', '', 'command line')),
        ('quality & user', '/m/mine.nii',
         ('quality & user', 'quality: smooth phase, by a threshold on the phase quality; '
          'user: mine.nii', 'command line')),
        ('', '', None),
    ],
)  # fmt: skip
def test_origin_of_the_brain_mask(acquisition, result, mask, given, shown):
    changed = replace(result, settings={'mask': mask})
    rows = inputs_view(replace(acquisition, brain_mask=given), changed)
    found = [(r['value'], r['more'], r['source']) for r in rows if r['name'] == 'Brain mask']
    assert found == ([shown] if shown else [])
