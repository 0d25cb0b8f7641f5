"""What the demo promises is checked: slope, mean error, and every large nucleus by itself."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.cli import exit_codes
from qsmbids.cli.demo import MAX_NUCLEUS_ERROR_PPB, compare
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER

TRUTH = {'Caudate': (4000, 40.0), 'Putamen': (5000, 60.0), 'Pallidum': (900, 130.0),
         'RedNucleus': (400, 90.0), 'Subthalamic': (140, 80.0)}  # fmt: skip
REFERENCE_PPB = 2.0  # mean of the truth in the brain


@pytest.fixture
def finished(tmp_path):
    """Return a function that writes a finished demo whose nuclei are off by so many ppb."""

    def write(**errors_ppb):
        truth = tmp_path / 'bids' / 'derivatives' / TRUTH_FOLDER / 'sub-01' / 'anat'
        out = tmp_path / 'out' / 'sub-01' / 'anat'
        truth.mkdir(parents=True)
        out.mkdir(parents=True)
        ones = np.ones((3, 3, 3), np.float32)
        nib.save(
            nib.Nifti1Image(ones * REFERENCE_PPB / 1000, np.eye(4)),
            truth / 'sub-01_desc-truth_Chimap.nii.gz',
        )
        nib.save(nib.Nifti1Image(ones, np.eye(4)), out / 'sub-01_desc-qsm_mask.nii.gz')
        true, found = ['name\tgroup\tvolume_mm3\tchi_data_ppm'], ['name\tmean']
        for name, (volume, chi) in TRUTH.items():
            true.append(f'{name}\tdeep grey\t{volume}\t{chi / 1000}')
            error = errors_ppb.get(name, 0.0)
            value = 'n/a' if error is None else (chi - REFERENCE_PPB + error) / 1000
            found.append(f'{name}\t{value}')
        (truth / 'sub-01_desc-regions_Chimap.tsv').write_text('\n'.join(true) + '\n')
        table = out / 'sub-01_atlas-QSMLifespan_desc-regions_Chimap.tsv'
        table.write_text('\n'.join(found) + '\n')
        return compare(tmp_path / 'bids', tmp_path / 'out')

    return write


def test_all_as_promised(finished, capsys):
    assert finished(Caudate=MAX_NUCLEUS_ERROR_PPB - 1) == exit_codes.OK
    text = capsys.readouterr().out
    assert 'as promised' in text
    assert 'OUTSIDE' not in text
    caudate = next(line for line in text.splitlines() if 'Caudate' in line)
    assert '4000 mm^3' in caudate
    assert '+9.0' in caudate


def test_one_large_nucleus_outside_is_enough(finished, capsys):
    assert finished(RedNucleus=-(MAX_NUCLEUS_ERROR_PPB + 1)) == exit_codes.SOME_FAILED
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith('   OUTSIDE')] == ['RedNucleus']


def test_small_nucleus_may_be_further_off(finished):
    assert finished(Subthalamic=MAX_NUCLEUS_ERROR_PPB + 5) == exit_codes.OK


def test_large_nucleus_that_was_not_measured_is_outside(finished, capsys):
    assert finished(Pallidum=None) == exit_codes.SOME_FAILED
    assert 'not measured' in capsys.readouterr().out
