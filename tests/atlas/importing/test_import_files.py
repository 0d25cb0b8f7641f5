"""Which file is what, told by the names alone."""

from pathlib import Path

import pytest

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.import_files import ages_of, find_bins, kind_of


@pytest.fixture
def folder(tmp_path):
    for name in (
        '40_50_BB_LPI.nii', '40_50_atlas_label.nii.gz', '5_10_BB_LPI.nii.gz',
        '5_10_atlas_label.nii.gz', 'T1w/40_50.nii.gz', 'notes.txt', '._40_50_x.nii',
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(bins):
    return [{kind: path.name for kind, path in b.images.items()} for b in bins]


def test_published_names(folder):
    bins = find_bins(folder)
    assert [b.ages for b in bins] == [(5, 10), (40, 50)]
    assert names(bins) == [
        {'chi': '5_10_BB_LPI.nii.gz', 'dseg': '5_10_atlas_label.nii.gz'},
        {'chi': '40_50_BB_LPI.nii', 'dseg': '40_50_atlas_label.nii.gz', 't1w': '40_50.nii.gz'},
    ]


def test_a_pattern_replaces_what_the_words_say(folder):
    (folder / '40_50_anatomy.nii').touch()
    with pytest.raises(AtlasError, match='2 files could be the susceptibility template of 40_50'):
        find_bins(folder)
    bins = find_bins(folder, patterns={'t1w': '*_anatomy.nii'})
    assert names(bins)[1]['t1w'] == '40_50_anatomy.nii'
    with pytest.raises(AtlasError, match='matches --mask'):
        find_bins(folder, patterns={'mask': '*brain*'})
    with pytest.raises(AtlasError, match='matches both --chi and --t1w'):
        find_bins(folder, patterns={'chi': '*_BB_*', 't1w': '*BB*'})


def test_ages_in_folders_and_files_for_all(tmp_path):
    for name in ('20_30/QSM.nii', '30_40/QSM.nii', 'brain_mask.nii', 'segmentation.nii'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    bins = find_bins(tmp_path)
    assert [b.name for b in bins] == ['20_30', '30_40']
    assert {b.images['dseg'].name for b in bins} == {'segmentation.nii'}
    assert {b.images['mask'].name for b in bins} == {'brain_mask.nii'}


@pytest.mark.parametrize(
    ('name', 'kind'),
    [
        ('Whole_brain_segmentation_DGM.nii', 'dseg'), ('QSM_atlas_mask.nii.gz', 'mask'),
        ('QSM_atlas_blackbackground_MNI_1mm_v1.nii', 'chi'), ('qsm_std.nii', 'chi_std'),
        ('40_50_R2star.nii', 'r2starmap'), ('40_50_mag.nii', 't2starw'),
        ('unmasked_qsm.nii', 'chi'),
    ],
)  # fmt: skip
def test_words_in_names(name, kind):
    assert kind_of(name) == kind


def test_numbers_that_are_no_ages():
    for name in ('50_40_x.nii', '2018_atlas.nii', 'sub_40_50.nii', '40-50.nii'):
        ages = ages_of(Path('a') / name, Path('a'))
        assert ages == ((40, 50) if name == '40-50.nii' else None)


@pytest.mark.parametrize('ages', [(40, 20), (-1, 20)])
def test_ages_given_the_wrong_way_round(folder, ages):
    with pytest.raises(AtlasError, match='no range of ages'):
        find_bins(folder, ages=ages)


def test_ages_given_beside_ages_in_names_are_not_ignored(folder):
    with pytest.raises(AtlasError, match='have ages already, and --ages was given') as info:
        find_bins(folder, ages=(20, 80))
    assert len(str(info.value).splitlines()) == 3


def test_absent_folder(tmp_path):
    with pytest.raises(AtlasError, match='there is no folder'):
        find_bins(tmp_path / 'none')
