"""Options that do not suit some scan: told before the run, refused if they suit none."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.cli.main import main
from qsmbids.cli.parser import parse
from qsmbids.cli.participant import make_the_plan
from qsmbids.lifespan.norms import Norm, NormSet
from qsmbids.workflows.preflight import check_options

SHAPE = (8, 8, 8)


def image(path: Path, data: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = nib.Nifti1Image(data, np.eye(4))
    made.set_sform(np.eye(4), 1)
    made.set_qform(np.eye(4), 1)
    nib.save(made, path)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Four echoes (sub-01), two (sub-02), four of magnitude (sub-03); a mask of sub-01."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    for label, n, parts in (('01', 4, 2), ('02', 2, 2), ('03', 4, 1)):
        for echo in range(1, n + 1):
            for part in ('mag', 'phase')[:parts]:
                stem = f'sub-{label}/anat/sub-{label}_echo-{echo}_part-{part}_MEGRE'
                path = tmp_path / 'bids' / f'{stem}.nii.gz'
                values = rng.uniform(-np.pi, np.pi, SHAPE)
                values.flat[:2] = -np.pi, np.pi
                image(path, (values if part == 'phase' else values + 10).astype(np.float32))
                facts = {'EchoTime': 0.005 * echo, 'MagneticFieldStrength': 3.0}
                facts |= {'Units': 'rad'} if part == 'phase' else {}
                (tmp_path / 'bids' / f'{stem}.json').write_text(json.dumps(facts))
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 2:6, 2:6] = 1
    image(tmp_path / 'masks/sub-01/anat/sub-01_desc-brain_mask.nii.gz', mask)
    return [str(tmp_path / 'bids'), str(tmp_path / 'out'), 'participant', '--recon-only']


def told(arguments: list[str]) -> dict[str, list[str]]:
    """Return the first lines of the warnings by scan."""
    config = parse(arguments)
    found: dict[str, list[str]] = {}
    for issue in check_options(make_the_plan(config).acquisitions, config):
        assert issue.severity == 'warning'
        assert str(issue).count('\n') == 2
        found.setdefault(issue.scope, []).append(issue.what)
    return found


def test_nothing_to_tell_by_default(folders):
    assert told(folders) == {}


@pytest.mark.parametrize(
    ('options', 'scans'),
    [
        (['--separation', 'chisep'], ['sub-02', 'sub-03']),
        (['--bipolar', 'on'], ['sub-02', 'sub-03']),
        (['--contrast', 'swi', 'smwi'], ['sub-03']),
        (['--bipolar', 'auto'], []),
    ],
)
def test_options_without_effect(folders, options, scans):
    found = told([*folders, *options])
    assert sorted(found) == scans
    for (what,) in found.values():
        assert what.startswith(' '.join(options) + ' has no effect')
    if len(scans) == 2:
        assert '2 echoes, and 3 are needed' in found['sub-02'][0]
        assert 'no phase' in found['sub-03'][0]


def test_bipolar_without_offset_removal(folders):
    (what,) = told([*folders, '--bipolar', 'on', '--phase-offset', 'none'])['sub-01']
    assert 'the phase offset is not removed' in what


FAILING = [
    (['--mask', 'user | bet', '--mask-derivatives', 'masks'], ['sub-02', 'sub-03']),
    (['--mask', 'bet & quality'], ['sub-03']),
    (['--inversion', 'medi0'], ['sub-02']),
]


@pytest.mark.parametrize(('options', 'scans'), FAILING)
def test_scans_that_will_fail(folders, options, scans):
    found = told([*folders, *options])
    assert sorted(found) == scans
    for (what,) in found.values():
        assert what.endswith('so it will fail.')


@pytest.mark.parametrize(('options', 'scans'), FAILING)
def test_refused_if_no_scan_is_left(folders, capsys, options, scans):
    labels = ['--participant-label', *scans]
    for more in ([], ['--dry-run']):
        assert main([*folders, *options, *labels, *more]) == 2
        said = capsys.readouterr().err.strip()
        assert said.count('\n') == 2
        assert ', '.join(scans) in said
    assert not list(Path('out').glob('sub-*'))


def test_dry_run_prints_the_warnings(folders, capsys):
    assert main([*folders, '--separation', 'chisep', '--dry-run']) == 0
    said = capsys.readouterr().out
    assert 'WARNING  sub-02: --separation chisep has no effect' in said


def test_masks_that_were_promised(folders):
    def without_mask(*options):
        plan = make_the_plan(parse([*folders, *options]))
        codes = {a.key: [i.code for i in a.issues] for a in plan.acquisitions}
        return sorted(key for key, found in codes.items() if 'MASK_NOT_FOUND' in found)

    assert without_mask('--mask-derivatives', 'masks') == ['sub-02', 'sub-03']
    assert without_mask('-d', 'masks=masks') == []
    assert without_mask() == []


def test_t2_maps_of_other_derivatives_are_still_found(folders, tmp_path):
    image(tmp_path / 't2/sub-01/anat/sub-01_T2map.nii.gz', np.full(SHAPE, 0.08, np.float32))
    config = parse([*folders, '--mask-derivatives', 'masks', '-d', 't2=t2'])
    first = make_the_plan(config).acquisitions[0]
    assert first.brain_mask
    assert first.t2_map


def test_norms_that_do_not_fit_are_told_before_the_run(folders, tmp_path):
    norm = Norm('Putamen', 'B', age=(20, 80), mean=(0.04, 0.08), sd=(0.01, 0.01))
    with_atlas = [a for a in folders if a != '--recon-only']
    for changed, words in (
        ({}, None),
        ({'atlas': 'Other'}, 'of the atlas Other'),
        ({'reference': 'csf'}, 'relative to whole-brain'),
        ({'field_strength_t': 7.0}, 'made at 3 T'),
    ):
        facts = {'atlas': 'QSMLifespan', 'reference': 'whole-brain', 'field_strength_t': 3.0}
        norms = NormSet((norm,), 'mine', **facts | changed)
        file = tmp_path / 'norms.json'
        file.write_text(norms.to_json(), encoding='utf-8')
        found = told([*with_atlas, '--norms', str(file)])
        assert bool(found) == bool(words)
        assert all(words in line for lines in found.values() for line in lines)
    assert told([*with_atlas, '--norms', 'prior']) == {}
