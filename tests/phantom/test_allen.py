"""The Allen anatomy as the stuff that people are made of."""

import json
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.phantom import simulate_head
from qsmbids.phantom.allen import allen_anatomy
from qsmbids.phantom.overlap import DEEP_GREY

BESIDE = Path(__file__).parents[2].parent / 'shared' / 'atlases'


@pytest.fixture(scope='module')
def folder():
    found = Path(os.environ.get('QSMBIDS_TEST_ATLASES', BESIDE)) / 'allen'
    if not found.is_dir():
        pytest.skip(f'label maps not found in {found.parent}; set QSMBIDS_TEST_ATLASES')
    return found


@pytest.fixture(scope='module')
def anatomy(folder):
    return allen_anatomy(folder)


def volumes(anatomy):
    count = np.bincount(anatomy.labels.reshape(-1), minlength=anatomy.size)
    return {label.name: count[label.index] * anatomy.step_mm**3 for label in anatomy.table}


def test_every_label_is_named_and_present(anatomy):
    found = volumes(anatomy)
    assert min(found.values()) > 0
    assert set(np.unique(anatomy.labels)) == {0} | {label.index for label in anatomy.table}


def test_nuclei_have_two_sides_of_the_volume_of_the_label_map(anatomy, folder):
    raw = np.asanyarray(nib.load(folder / 'AllenAtlas.nii.gz').dataobj)
    names = json.loads((folder / 'AllenAtlas.json').read_text())['labels']
    found = volumes(anatomy)
    red = np.count_nonzero(raw == names.index('RN')) / 8
    assert found['RedNucleusLeft'] + found['RedNucleusRight'] == red
    caudate = np.isin(raw, [names.index(n) for n in ('CaH', 'CaB', 'CaT')]).sum() / 8
    assert found['CaudateLeft'] + found['CaudateRight'] == caudate
    for region in DEEP_GREY:
        assert anatomy.curves[region] == region
        assert found[f'{region}Left'] == pytest.approx(found[f'{region}Right'], rel=0.05)


def test_left_is_at_negative_x(anatomy):
    left = [label.index for label in anatomy.table if label.hemisphere == 'L']
    x = anatomy.origin_mm[0] + anatomy.step_mm * np.arange(anatomy.labels.shape[0])
    planes = np.isin(anatomy.labels, left).any(axis=(1, 2))
    assert x[planes].max() < 0


def test_callosum_is_divided_from_front_to_back(anatomy):
    centres = []
    for part in ('Genu', 'Body', 'Splenium'):
        label = next(b for b in anatomy.table if b.name == f'CorpusCallosum{part}')
        y = np.nonzero((anatomy.labels == label.index).any(axis=(0, 2)))[0]
        centres.append(y.mean() * anatomy.step_mm + anatomy.origin_mm[1])
    assert centres == sorted(centres, reverse=True)


def test_person_has_iron_in_the_real_nuclei(anatomy, coarse):
    head = simulate_head(30, parameters=replace(coarse, warp_max_mm=10.0), regions=anatomy)
    rows = {row.name: row for row in head.regions}
    for region in DEEP_GREY:
        row = rows[f'{region}Left']
        assert row.group == 'deep grey'
        assert row.chi_fine_ppm == pytest.approx(row.chi_curve_ppm, rel=0.2)
    assert np.isnan(rows['PrCGLeft'].chi_curve_ppm)  # a gyrus is only named
    assert rows['PrCGLeft'].n_voxels > 100


def test_another_list_of_names_is_refused(folder, tmp_path):
    (tmp_path / 'AllenAtlas.nii.gz').symlink_to(folder / 'AllenAtlas.nii.gz')
    content = json.loads((folder / 'AllenAtlas.json').read_text())
    content['labels'] = ['PU' if name == 'Pu' else name for name in content['labels']]
    (tmp_path / 'AllenAtlas.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='does not name Pu'):
        allen_anatomy(tmp_path)
