"""Output names: the golden list, and no two acquisitions ever share one."""

import pytest

from qsmbids.bids.names import output_names, sidecar, with_sidecars

GOLDEN = """\
sub-01/ses-a/anat/sub-01_ses-a_run-2_Chimap.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_R2starmap.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_S0map.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_T2starmap.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_atlas-QSMLifespan_desc-regions_Chimap.tsv
sub-01/ses-a/anat/sub-01_ses-a_run-2_atlas-QSMLifespan_desc-regions_R2starmap.tsv
sub-01/ses-a/anat/sub-01_ses-a_run-2_atlas-QSMLifespan_dseg.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_desc-atlas_Chimap.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_desc-brain_mask.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_desc-qc_Chimap.tsv
sub-01/ses-a/anat/sub-01_ses-a_run-2_desc-qsm_mask.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_desc-rss_T2starw.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_from-QSMLifespan+4_to-T2starw_mode-image_xfm.h5
sub-01/ses-a/anat/sub-01_ses-a_run-2_from-T2starw_to-QSMLifespan+4_mode-image_xfm.h5
sub-01/ses-a/anat/sub-01_ses-a_run-2_space-QSMLifespan+4_res-1_Chimap.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_space-QSMLifespan+4_res-1_R2starmap.nii.gz
sub-01/ses-a/anat/sub-01_ses-a_run-2_space-QSMLifespan+4_res-1_desc-preproc_T2starw.nii.gz
sub-01/ses-a/fmap/sub-01_ses-a_run-2_desc-local_fieldmap.nii.gz
sub-01/ses-a/fmap/sub-01_ses-a_run-2_desc-noise_fieldmap.nii.gz
sub-01/ses-a/fmap/sub-01_ses-a_run-2_desc-total_fieldmap.nii.gz
sub-01/ses-a/fmap/sub-01_ses-a_run-2_magnitude.nii.gz
"""
ENTITIES = (('sub', '01'), ('ses', 'a'), ('run', '2'))


def test_golden_list():
    names = output_names(ENTITIES, atlas='QSMLifespan', cohort='4')
    assert sorted(names.values()) == GOLDEN.splitlines()


def test_magnitude_only_gives_relaxation_but_no_susceptibility():
    names = output_names(ENTITIES, phase=False, atlas='QSMLifespan', cohort='4')
    assert set(names) == {'rss', 'brain_mask', 'r2star', 't2star', 's0'}


def test_few_echoes_give_no_relaxation():
    names = output_names(ENTITIES, relaxation=False, atlas='QSMLifespan', cohort='4')
    assert not {'r2star', 'regions_r2star', 'norm_r2star'} & set(names)
    assert {'chi', 'regions_chi', 'norm_chi'} <= set(names)


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        ((('sub', '1'), ('rec', 'norm')), (('sub', '1'), ('rec', 'raw'))),
        ((('sub', '1'), ('acq', 'x')), (('sub', '1'), ('acq', 'x'), ('ce', 'gd'))),
        ((('sub', '1'), ('flip', '1')), (('sub', '1'), ('flip', '2'))),
    ],
)
def test_acquisitions_never_share_a_name(first, second):
    """fmap allows fewer entities than anat; what it drops must not make names equal."""
    one, two = set(output_names(first).values()), set(output_names(second).values())
    assert not one & two


def test_sidecars():
    assert sidecar('a/b_xfm.h5') == 'a/b_xfm.json'
    assert with_sidecars(['t_desc-qc_Chimap.tsv']) == [
        't_desc-qc_Chimap.json', 't_desc-qc_Chimap.tsv',
    ]  # fmt: skip
