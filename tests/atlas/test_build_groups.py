"""Who goes into which age group, and who is left out and told so."""

import json

import pytest

from qsmbids.atlas.build.groups import Person, age_groups, find_people
from qsmbids.atlas.errors import AtlasError

OTHERS = ('desc-rss_T2starw', 'desc-brain_mask', 'desc-qsm_mask')


def add(root, key, age=30.0, *, without=(), reference='whole-brain'):
    """Write empty files of a scan and the sidecar of its map."""
    parts = dict(part.split('-') for part in key.split('_'))
    folder = root / f'sub-{parts["sub"]}'
    folder = folder / f'ses-{parts["ses"]}' / 'anat' if 'ses' in parts else folder / 'anat'
    folder.mkdir(parents=True, exist_ok=True)
    for name in ('Chimap', *OTHERS):
        if name not in without:
            (folder / f'{key}_{name}.nii.gz').touch()
    (folder / f'{key}_desc-cosmos_Chimap.nii.gz').touch()  # maps made from maps do not count
    (folder / f'{key}_space-QSMLifespan+4_res-1_Chimap.nii.gz').touch()
    sidecar = {'SusceptibilityReference': reference}
    sidecar |= {} if age is None else {'AgeYears': age}
    (folder / f'{key}_Chimap.json').write_text(json.dumps(sidecar))


def people(*ages):
    return [Person(f'sub-{n:02d}', age, *([None] * 4)) for n, age in enumerate(ages)]


def ages_of(groups):
    return {(g.age_min, g.age_max): [p.age for p in g.people] for g in groups}


def test_first_session_and_first_run_stand_for_a_person(tmp_path):
    add(tmp_path, 'sub-01_ses-1_run-1', 20.0)
    add(tmp_path, 'sub-01_ses-1_run-2', 20.0)
    add(tmp_path, 'sub-01_ses-2', 22.0)
    add(tmp_path, 'sub-02', 40.0, reference='csf')
    found, notes = find_people(tmp_path)
    assert [(p.label, p.age, p.chi.name, p.reference) for p in found] == [
        ('sub-01', 20.0, 'sub-01_ses-1_run-1_Chimap.nii.gz', 'whole-brain'),
        ('sub-02', 40.0, 'sub-02_Chimap.nii.gz', 'csf'),
    ]
    assert notes == ('sub-01 has 3 maps: sub-01_ses-1_run-1_Chimap.nii.gz is used',)
    assert found[0].r2star is None


def test_people_without_age_or_images_are_left_out_and_named(tmp_path):
    add(tmp_path, 'sub-01', None)
    add(tmp_path, 'sub-02', 'n/a')
    add(tmp_path, 'sub-03', without=('desc-qsm_mask',))
    add(tmp_path, 'sub-04', 50.0)
    found, notes = find_people(tmp_path)
    assert [p.label for p in found] == ['sub-04']
    assert [n.split(' is left out: ')[0] for n in notes] == ['sub-01', 'sub-02', 'sub-03']
    assert 'age is unknown' in notes[0]
    assert 'sub-03_desc-qsm_mask.nii.gz' in notes[2]


def test_t1w_of_the_same_session_is_taken_and_contrasts_are_not_mixed(tmp_path):
    maps, raw = tmp_path / 'maps', tmp_path / 'raw'
    for key in ('sub-01_ses-2', 'sub-02', 'sub-03'):
        add(maps, key)
    for name in ('sub-01/ses-1/anat/sub-01_ses-1', 'sub-01/ses-2/anat/sub-01_ses-2',
                 'sub-02/anat/sub-02'):  # fmt: skip
        path = raw / f'{name}_T1w.nii.gz'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found, notes = find_people(maps, raw)
    assert [p.t1w.name for p in found] == ['sub-01_ses-2_T1w.nii.gz', 'sub-02_T1w.nii.gz']
    assert 'sub-03 is left out: there is no T1w image' in notes[0]


def test_a_folder_without_maps_is_refused(tmp_path):
    with pytest.raises(AtlasError, match='no susceptibility map') as info:
        find_people(tmp_path)
    assert len(str(info.value).splitlines()) == 3


def test_bins_are_half_open_and_the_last_one_closed():
    groups, notes = age_groups(people(10, 20, 29.9, 30, 40, 41), (10, 20, 30, 40), 1)
    assert ages_of(groups) == {(10, 20): [10], (20, 30): [20, 29.9], (30, 40): [30, 40]}
    assert [g.label for g in groups] == ['1', '2', '3']
    assert notes == ('sub-05 is left out: age 41 lies outside the bins',)


def test_small_bins_are_joined_to_the_smaller_neighbour_and_isolated_ones_left_out():
    groups, notes = age_groups(people(5, 5, 5, 12, 25, 25, 25, 25, 70), (1, 10, 20, 30, 40, 80), 3)
    assert ages_of(groups) == {(1, 20): [5, 5, 5, 12], (20, 30): [25] * 4}
    assert 'joined to ages 1 to 10' in ' '.join(notes)
    assert 'ages 40 to 80 have only 1 of 3 people: left out (sub-08)' in notes


def test_joining_goes_on_until_the_group_is_large_enough():
    groups, _ = age_groups(people(5, 15, 25), (1, 10, 20, 30), 3)
    assert ages_of(groups) == {(1, 30): [5, 15, 25]}
    assert groups[0].mean_age == 15


@pytest.mark.parametrize('edges', [(10,), (10, 10), (20, 10)])
def test_limits_that_are_no_bins_are_refused(edges):
    with pytest.raises(AtlasError, match='are no bins'):
        age_groups(people(10), edges, 1)


def test_a_cohort_that_is_too_small_is_refused():
    with pytest.raises(AtlasError, match='no age group has 3 people') as info:
        age_groups(people(10, 50), (1, 20, 40, 60), 3)
    assert len(str(info.value).splitlines()) == 3
