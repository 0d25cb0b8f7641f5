"""What the demo promises is checked: slope, mean error, and every large nucleus by itself."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.cli import exit_codes
from qsmbids.cli.demo import MAX_NUCLEUS_ERROR_PPB, build_parser, compare, main
from qsmbids.cli.demo_cohort import CURVES, compare_curves, questions, simulate_cohort
from qsmbids.cli.parser import parse
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


@pytest.fixture(scope='module')
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cohort')
    arguments = build_parser().parse_args([str(folder), '--cohort', '40', '--patients', '0.25'])
    return folder, simulate_cohort(folder, arguments)


def write_curves(path, truth, shift_ppb=0.0, leave_out=''):
    """Write curves with bands of 1.96 ppb that are off by so much."""
    lines = ['region\tage\tmean\tmean_low\tmean_high']
    for region in truth.regions:
        if region == leave_out:
            continue
        for age in (5, 30, 80):
            mean = truth.cohort_mean(region, age) + shift_ppb * 1e-3
            lines.append(f'{region}\t{age}\t{mean}\t{mean - 1.96e-3}\t{mean + 1.96e-3}')
    path.mkdir(exist_ok=True)
    (path / CURVES).write_text('\n'.join(lines) + '\n')


def test_curves_inside_their_bands_are_as_promised(cohort, tmp_path, capsys):
    write_curves(tmp_path, cohort[1], shift_ppb=1.0)
    assert compare_curves(tmp_path, cohort[1]) == exit_codes.OK
    text = capsys.readouterr().out
    assert 'as promised' in text
    assert 'OUTSIDE' not in text
    putamen = next(line for line in text.splitlines() if 'Putamen' in line)
    assert putamen.endswith('   1.0   100 %')


@pytest.mark.parametrize(
    'wrong', [{'shift_ppb': 2.5}, {'shift_ppb': 15}, {'leave_out': 'Caudate'}]
)
def test_curves_outside_are_said_to_be(cohort, tmp_path, capsys, wrong):
    write_curves(tmp_path, cohort[1], **wrong)
    assert compare_curves(tmp_path, cohort[1]) == exit_codes.SOME_FAILED
    assert 'OUTSIDE what the demo promises' in capsys.readouterr().out


def test_patients_are_part_of_the_generating_mean(cohort):
    truth = cohort[1]
    nigra = truth.cohort_mean('SubstantiaNigra', 50) - truth.mean('SubstantiaNigra', 50)
    assert nigra == pytest.approx(0.010)
    assert truth.cohort_mean('Caudate', 50) == truth.mean('Caudate', 50)


def test_a_cohort_replaces_only_an_earlier_one(cohort, tmp_path, capsys):
    folder, _ = cohort
    arguments = build_parser().parse_args([str(folder), '--cohort', '3'])
    again = simulate_cohort(folder, arguments)
    assert len(again.people.labels) == 3
    assert not (folder / 'derivatives/qsmbids/sub-40').exists()
    (tmp_path / 'bids').mkdir()
    assert main([str(tmp_path), '--cohort', '3']) == exit_codes.USAGE
    assert 'never mixed' in capsys.readouterr().err


def test_what_is_asked_of_the_group_level_it_understands(tmp_path):
    text = '--cohort 3 --patients 0.3 --sites 2'
    asked = questions(build_parser().parse_args([str(tmp_path), *text.split()]))
    config = parse([str(tmp_path), str(tmp_path / 'out'), 'group', *asked])
    assert config.norms
    assert config.group.models == ('chi ~ diagnosis + age + sex',)
    assert config.group.roc == ('diagnosis=patient/control',)
    assert config.group.harmonize == 'site'
    healthy = questions(build_parser().parse_args([str(tmp_path), '--cohort', '3']))
    assert healthy == ['--norms', 'prior']
