"""Lesions between visits: the same lesion is found again, and what cannot be known is not said."""

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.cohort import Cohort, read_cohort
from qsmbids.group.errors import GroupError
from qsmbids.group.lesion_changes import REPEATABILITY_PPB, lesion_changes

HEADER = ('id', 'label', 'x_mm', 'y_mm', 'z_mm', 'region', 'volume_mm3', 'mean',
          'mean_uncertainty', 'total_susceptibility')  # fmt: skip


def scans(n_visits):
    frame = pd.DataFrame(
        {'participant_id': 'sub-1', 'session_id': [f'ses-{i + 1}' for i in range(n_visits)]}
    )
    frame['key'] = frame['participant_id'] + '_' + frame['session_id']
    frame['age'] = 40.0 + 2 * np.arange(n_visits)
    return frame.assign(acq_time='', reference='whole-brain', site='', version='1',
                        field_strength_t=3.0, primary=True)  # fmt: skip


def make(*visits, marking='ccm'):
    """Return a cohort; each visit is a list of (label, (x, y, z), mean in ppm)."""
    frame = scans(len(visits))
    rows = [
        {'key': key, 'participant_id': 'sub-1', 'marking': marking, 'id': i + 1, 'label': label,
         'x_mm': x, 'y_mm': y, 'z_mm': z, 'region': 'Pons', 'volume_mm3': 100.0, 'mean': mean,
         'mean_uncertainty': 0.003, 'total_susceptibility': 100 * mean}
        for key, lesions in zip(frame['key'], visits, strict=True)
        for i, (label, (x, y, z), mean) in enumerate(lesions)
    ]  # fmt: skip
    return Cohort(frame, {}, pd.DataFrame(rows))


def test_numbers_find_lesions_again_however_far_the_head_moved():
    cohort = make(
        [(1, (0, 0, 0), 0.5), (2, (8, 0, 0), 0.3)], [(2, (28, 0, 0), 0.3), (1, (20, 0, 0), 0.6)]
    )
    found, columns, problems = lesion_changes(cohort)
    assert problems == []
    assert list(found) == [name for name, _, _ in columns]
    assert found['matched_by'].tolist() == ['number', 'number']
    assert found[['id_1', 'id_2']].to_numpy().tolist() == [[1, 2], [2, 1]]
    assert found['distance_mm'].tolist() == [20, 20]
    assert found['change'].tolist() == pytest.approx([100, 0])
    assert found['change_per_year'].tolist() == pytest.approx([50, 0])
    sd = np.sqrt(2 * 3**2 + 2 * REPEATABILITY_PPB**2)
    assert found['change_sd'].tolist() == pytest.approx([sd, sd])
    assert found['exceeds'].tolist() == ['yes', 'no']


def test_place_matches_mutual_neighbours_and_lists_gone_and_new():
    cohort = make(
        [(1, (0, 0, 0), 0.5), (1, (50, 0, 0), 0.4), (1, (0, 60, 0), 0.3)],
        [(1, (52, 1, 0), 0.4), (1, (3, 0, 0), 0.5), (1, (0, 0, 80), 0.2)],
    )
    found = lesion_changes(cohort)[0].set_index('status')
    matched = found.loc['matched']
    assert matched['matched_by'].tolist() == ['place', 'place']
    assert matched[['id_1', 'id_2']].to_numpy().tolist() == [[1, 2], [2, 1]]
    assert found.loc['gone', 'id_1'] == 3
    assert found.loc['new', 'id_2'] == 3
    assert np.isnan(found.loc['new', 'change'])
    assert found.loc['new', 'exceeds'] == ''
    assert set(found['remark']) == {''}


def test_beyond_the_distance_and_ambiguous_neighbours():
    cohort = make([(1, (0, 0, 0), 0.5)], [(1, (12, 0, 0), 0.5)])
    assert set(lesion_changes(cohort)[0]['status']) == {'gone', 'new'}
    assert lesion_changes(cohort, max_distance_mm=15)[0]['status'].tolist() == ['matched']
    cohort = make([(1, (0, 0, 0), 0.5)], [(1, (5, 0, 0), 0.5), (1, (-6, 0, 0), 0.9)])
    found = lesion_changes(cohort)[0]
    assert found['status'].tolist() == ['matched', 'new']
    assert found['remark'].tolist() == ['ambiguous', '']


@pytest.mark.parametrize(
    ('first', 'second', 'rise'),
    [(0.5, 0.531, 'yes'), (0.5, 0.529, 'no'), (0.5, 0.4, 'no'), (0.05, 0.1, ''), (-0.5, -0.6, '')],
)
def test_rise_of_six_percent_is_information_only_where_a_percentage_means_something(
    first, second, rise
):
    cohort = make([(1, (0, 0, 0), first)], [(1, (0, 0, 0), second)])
    (row,) = lesion_changes(cohort)[0].to_dict('records')
    assert row['rise_6_percent'] == rise
    assert np.isfinite(row['percent']) == bool(rise)


def test_consecutive_visits_and_a_visit_that_was_not_drawn():
    lesion = [(1, (0, 0, 0), 0.5)]
    cohort = make(lesion, [], lesion, lesion)
    found, _, (problem,) = lesion_changes(cohort)
    assert found['session_1'].tolist() == ['ses-1', 'ses-3']
    assert found['session_2'].tolist() == ['ses-3', 'ses-4']
    assert found['years'].tolist() == [4, 2]
    assert 'sub-1' in problem.what
    assert problem.severity == 'note'


def test_nothing_marked_gives_an_empty_table():
    found, columns, problems = lesion_changes(Cohort(scans(2), {}, pd.DataFrame()))
    assert found.empty
    assert list(found) == [name for name, _, _ in columns]
    assert problems == []


def test_settings_without_sense_are_refused():
    with pytest.raises(GroupError, match='repeatability'):
        lesion_changes(make([(1, (0, 0, 0), 0.5)]), repeatability_ppb=0)


def test_tables_of_files_where_an_empty_one_means_no_lesion(tmp_path):
    for session, rows in (('1', [[1, 1, 0, 0, 0, 'n/a', 50, 0.4, 0.01, 20]]), ('2', [])):
        stem = tmp_path / f'sub-1/ses-{session}/anat/sub-1_ses-{session}'
        stem.parent.mkdir(parents=True)
        lines = ['\t'.join(map(str, row)) for row in [HEADER, *rows]]
        stem.with_name(f'{stem.name}_label-mb_desc-lesions_Chimap.tsv').write_text(
            '\n'.join(lines) + '\n'
        )
        stem.with_name(f'{stem.name}_Chimap.json').write_text(f'{{"AgeYears": 6{session}}}')
    found, _, problems = lesion_changes(read_cohort(tmp_path))
    assert problems == []
    (row,) = found.to_dict('records')
    assert (row['status'], row['marking'], row['years']) == ('gone', 'mb', 1)
