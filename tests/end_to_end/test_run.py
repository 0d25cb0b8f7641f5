"""The main job from raw data to report, as a user starts it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.bids.names import with_sidecars
from qsmbids.cli.main import main
from qsmbids.config import Config
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.outcome import promised_names

pytestmark = pytest.mark.slow
QUICK = ('--registration', 'fast')  # how good it is, others test


def start(*arguments):
    command = [sys.executable, '-m', 'qsmbids', *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )


def finish(process):
    text, _ = process.communicate(timeout=900)
    return process.returncode, text


@pytest.fixture(scope='module')
def done(coarse_dataset, tmp_path_factory):
    """A complete run of both levels."""
    folder = tmp_path_factory.mktemp('done')
    arguments = (
        coarse_dataset, folder / 'out', 'participant', 'group', '-w', folder / 'work', *QUICK,
    )  # fmt: skip
    code, text = finish(start(*arguments))
    assert code == 0, text
    return folder, arguments, text


def results(out):
    """Content of what must not depend on when or how often a run was started."""
    files = [p for kind in ('*.nii.gz', '*.tsv', '*Chimap.json') for p in out.rglob(kind)]
    return {str(p.relative_to(out)): p.read_bytes() for p in files}


def test_exactly_the_promised_files_exist(done, coarse_dataset):
    out = done[0] / 'out'
    config = Config(coarse_dataset, out, done[0] / 'work')
    for acquisition in make_plan(coarse_dataset).acquisitions:
        record = out / f'sub-{acquisition.participant}/log/{acquisition.key}_atlas.json'
        cohort = json.loads(record.read_text())['facts']['atlas']['cohort']
        names = with_sidecars(promised_names(acquisition, config, cohort).values())
        folders = [out / f'sub-{acquisition.participant}' / f for f in ('anat', 'fmap')]
        found = sorted(str(p.relative_to(out)) for f in folders for p in f.iterdir())
        assert found == names
    assert (out / 'group.html').is_file()
    assert (out / 'sub-01.html').is_file()


def test_validator_finds_no_error(done):
    validator = Path(sys.executable).with_name('bids-validator-deno')
    run = subprocess.run(
        [validator, '--format', 'json', done[0] / 'out'],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    issues = json.loads(run.stdout)['issues']['issues']
    assert [i for i in issues if i.get('severity') == 'error'] == []


def test_table_is_that_of_the_saved_map(done):
    anat = done[0] / 'out' / 'sub-01' / 'anat'
    chi = np.asarray(nib.load(anat / 'sub-01_Chimap.nii.gz').dataobj)
    labels = np.asarray(nib.load(anat / 'sub-01_atlas-QSMLifespan_dseg.nii.gz').dataobj)
    mask = np.asarray(nib.load(anat / 'sub-01_desc-qsm_mask.nii.gz').dataobj) > 0
    table = (anat / 'sub-01_atlas-QSMLifespan_desc-regions_Chimap.tsv').read_text().splitlines()
    head = table[0].split('\t')
    rows = [dict(zip(head, line.split('\t'), strict=True)) for line in table[1:]]
    compared = 0
    for row in rows[1:]:
        if row['mean'] != 'n/a':
            inside = mask & (labels == int(row['index']))
            assert float(row['mean']) == pytest.approx(float(chi[inside].mean()), abs=1e-6)
            assert int(row['n_voxels']) == inside.sum()
            compared += 1
    assert compared > 20
    assert abs(chi[mask].mean()) < 1e-5, 'whole-brain reference'
    sidecar = json.loads((anat / 'sub-01_Chimap.json').read_text())
    assert sidecar['SusceptibilityReference'] == 'whole-brain'
    assert sidecar['DipoleInversion'] == 'single-step TV'
    assert sidecar['AgeYears'] == 12.0


def test_second_run_repeats_nothing_and_changes_nothing(done):
    folder, arguments, _ = done
    before = results(folder / 'out')
    code, text = finish(start(*arguments))
    assert code == 0, text
    assert 'damaged' not in text
    steps = [line for line in text.splitlines() if re.match(r'\[\d+/\d+\]', line)]
    assert [line for line in steps if 'kept from an earlier run' not in line] == []
    assert results(folder / 'out') == before


def test_deleted_output_is_written_again(done):
    folder, arguments, _ = done
    before = results(folder / 'out')
    (folder / 'out/sub-01/anat/sub-01_Chimap.nii.gz').unlink()
    code, text = finish(start(*arguments))
    assert code == 0, text
    assert results(folder / 'out') == before


@pytest.mark.parametrize('step', ['brain mask', 'registration'])
def test_killed_and_started_again(done, coarse_dataset, tmp_path, step):
    """SIGKILL in mid-way; the second start gives what an undisturbed run gives."""
    arguments = (
        coarse_dataset, tmp_path / 'out', 'participant', 'group', '-w', tmp_path / 'work',
        *QUICK,
    )  # fmt: skip
    process = start(*arguments)
    for line in process.stdout:
        if step in line:
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    code, text = finish(start(*arguments))
    assert code == 0, text
    assert results(tmp_path / 'out') == results(done[0] / 'out')


def test_sigterm_ends_it_and_leaves_no_worker(coarse_dataset, tmp_path):
    process = start(
        coarse_dataset, tmp_path / 'out', 'participant', '-w', tmp_path / 'work', *QUICK
    )
    for line in process.stdout:
        if 'brain mask' in line:
            break
    children = subprocess.run(
        ['ps', '-o', 'pid=', '--ppid', str(process.pid)], capture_output=True, text=True,
        check=False,
    ).stdout.split()  # fmt: skip
    begin = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert time.monotonic() - begin < 5
    time.sleep(0.5)
    assert not [pid for pid in children if os.path.exists(f'/proc/{pid}/fd')]


def test_failed_registration_is_told_and_the_maps_are_kept(coarse_dataset, tmp_path, capsys):
    """A broken atlas step must not take the susceptibility map with it."""
    mask = tmp_path / 'masks' / 'sub-01' / 'anat'
    mask.mkdir(parents=True)
    image = nib.load(next((coarse_dataset / 'sub-01/anat').glob('*echo-1_part-mag*.nii.gz')))
    tiny = np.zeros(image.shape, np.uint8)
    centre = tuple(slice(n // 2 - 6, n // 2 + 6) for n in image.shape)
    tiny[centre] = 1
    nib.save(nib.Nifti1Image(tiny, image.affine), mask / 'sub-01_desc-brain_mask.nii.gz')
    code = main(
        [
            str(coarse_dataset), str(tmp_path / 'out'), 'participant',
            '--participant-label', '01', '-w', str(tmp_path / 'work'),
            '-d', f'masks={tmp_path / "masks"}', '--background-removal', 'vsharp', *QUICK,
        ]
    )  # fmt: skip
    text = capsys.readouterr().out
    assert code == 1
    assert 'registration to the atlas' in text
    assert (tmp_path / 'out/sub-01/anat/sub-01_Chimap.nii.gz').is_file()
    assert 'registration' in (tmp_path / 'out/sub-01.html').read_text()
