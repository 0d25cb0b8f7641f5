"""Runs that may do nothing but read the dataset and write into the output folder."""

import gzip
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.container

RECON = ('participant', '--recon-only')
END_S = 5.0
MEMORY_END_S = 60.0


def test_both_levels_reach_their_reports(strict_run):
    out, _ = strict_run
    assert (out / 'sub-01.html').is_file()
    assert (out / 'sub-02.html').is_file()
    assert (out / 'group.html').is_file()
    assert len(list(out.glob('sub-*/anat/*_Chimap.nii.gz'))) >= 2
    assert not list(out.rglob('*.tmp'))


def test_validator_finds_no_error(strict_run):
    validator = Path(sys.executable).with_name('bids-validator-deno')
    if not validator.exists():
        pytest.skip('bids-validator-deno is not installed')
    run = subprocess.run(
        [validator, '--format', 'json', strict_run[0]], capture_output=True, text=True, check=False
    )
    issues = json.loads(run.stdout)['issues']['issues']
    assert [i for i in issues if i.get('severity') == 'error'] == []


def test_an_atlas_of_the_image_is_used_without_network(image, readable_dataset, tmp_path):
    run = image.run(
        '/data', '/out', 'participant', '--participant-label', '02', '-w', '/tmp/work',
        '--atlas', 'QSMLifespanAllen', '--registration', 'fast', '--dry-run',
        bids=readable_dataset, out=tmp_path / 'out',
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert 'Allen' in run.stdout


def test_only_the_output_folder_can_be_written_to_and_nobody_has_a_name(
    image, readable_dataset, tmp_path
):
    environ = ('-u', 'HOME', '-u', 'USER', '-u', 'LOGNAME', 'qsmbids')
    run = image.run(
        *environ, '/data', '/out', *RECON, '--participant-label', '01', '-w', '/out/work',
        bids=readable_dataset, out=tmp_path / 'out', tmp='', entrypoint='env',
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert list((tmp_path / 'out').glob('sub-01/anat/*_Chimap.nii.gz'))


def test_without_a_place_for_the_work_folder_it_says_so(image, readable_dataset, tmp_path):
    run = image.run('/data', '/out', *RECON, bids=readable_dataset, out=tmp_path / 'out', tmp='')
    assert run.returncode == 2
    assert 'cannot be written to' in run.stderr
    assert len(run.stderr.strip().splitlines()) == 3


@pytest.mark.parametrize(
    ('arguments', 'code'), [(['--version'], 0), (['--no-such-option'], 2), ([], 2)]
)
def test_exit_codes_of_the_command_line(image, arguments, code):
    assert image.run(*arguments).returncode == code


def test_exit_code_when_nothing_can_be_used(image, tmp_path):
    bids = tmp_path / 'bids'
    (bids / 'sub-01' / 'anat').mkdir(parents=True)
    description = {'Name': 'empty', 'BIDSVersion': '1.10.0'}
    (bids / 'dataset_description.json').write_text(json.dumps(description))
    for path in (tmp_path, bids, *bids.rglob('*')):
        path.chmod(0o755 if path.is_dir() else 0o644)
    run = image.run('/data', '/out', *RECON, '-w', '/tmp/work', bids=bids, out=tmp_path / 'out')
    assert run.returncode == 65, run.stdout + run.stderr


def test_exit_code_when_one_of_two_fails(image, readable_dataset, tmp_path):
    bids = tmp_path / 'bids'
    shutil.copytree(readable_dataset, bids)
    for path in bids.glob('sub-02/anat/*part-phase*.nii.gz'):
        whole = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(whole[: len(whole) // 2]))
    run = image.run('/data', '/out', *RECON, '-w', '/tmp/work', bids=bids, out=tmp_path / 'out')
    assert run.returncode == 1, run.stdout + run.stderr
    assert list((tmp_path / 'out').glob('sub-01/anat/*_Chimap.nii.gz'))


def stop(image, name):
    """Send SIGTERM; return the exit code and how long it took to end, in seconds."""
    begin = time.monotonic()
    assert image.call('kill', '--signal', 'TERM', name).returncode == 0
    try:
        code = int(image.call('wait', name, timeout=60).stdout)
    except subprocess.TimeoutExpired:
        code = -1
    return code, time.monotonic() - begin


@pytest.fixture
def removed(image):
    """Names of containers that are removed when the test has ended."""
    names = []
    yield names
    for name in names:
        image.call('rm', '--force', name)


# By the clock: the program starts, plans, imports; by its text: it computes. Not earlier: the
# first process of a container hears no signal until Python itself has started.
@pytest.mark.parametrize('moment', [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, '[1/', '[4/'])
def test_sigterm_ends_it_in_time(image, readable_dataset, tmp_path, removed, moment):
    name = image.start(
        '/data', '/out', 'participant', '-w', '/tmp/work', bids=readable_dataset,
        out=tmp_path / 'out',
    )  # fmt: skip
    removed.append(name)
    if isinstance(moment, str):
        image.wait_for(name, moment)
    else:
        time.sleep(moment)
    code, seconds = stop(image, name)
    logs = image.call('logs', name)
    assert code == 143, logs.stdout + logs.stderr
    assert seconds < END_S
    assert 'Traceback' not in logs.stdout + logs.stderr


def write_large(bids, shape):
    """Write a scan that is large in memory and small on disk."""
    anat = bids / 'sub-01' / 'anat'
    anat.mkdir(parents=True)
    description = {'Name': 'large', 'BIDSVersion': '1.10.0'}
    (bids / 'dataset_description.json').write_text(json.dumps(description))
    turn = np.linspace(0, 4095, shape[0]).astype(np.int16)[:, None, None]
    values = {'mag': np.full(shape, 900, np.int16), 'phase': np.broadcast_to(turn, shape)}
    for echo in (1, 2, 3):
        for part, data in values.items():
            stem = anat / f'sub-01_echo-{echo}_part-{part}_MEGRE'
            scan = nib.Nifti1Image(np.ascontiguousarray(data), np.eye(4))
            scan.set_qform(np.eye(4), 1)
            scan.set_sform(np.eye(4), 1)
            scan.to_filename(f'{stem}.nii.gz')
            facts = {'EchoTime': 0.006 * echo, 'MagneticFieldStrength': 3.0}
            Path(f'{stem}.json').write_text(json.dumps(facts))
    for path in (bids, *bids.rglob('*')):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_with_half_the_memory_it_says_so_and_ends(image, tmp_path):
    write_large(tmp_path / 'bids', (256, 256, 160))
    begin = time.monotonic()
    run = image.run(
        '/data', '/out', 'participant', '-w', '/out/work', '--age', '40',
        bids=tmp_path / 'bids', out=tmp_path / 'out', tmp='', memory='750m', timeout=120,
    )  # fmt: skip
    assert time.monotonic() - begin < MEMORY_END_S
    assert run.returncode in (1, 2), run.stdout + run.stderr
    text = run.stdout + run.stderr
    assert 'Traceback' not in text
    lines = text.splitlines()
    said = [n for n, line in enumerate(lines) if 'GB' in line and 'limit' in line]
    assert said, text
    message = lines[said[-1] : said[-1] + 3]
    assert all(line.strip() for line in message)
    assert 'memory' in ' '.join(message)
    needed = float(re.search(r'needs about ([\d.]+) GB', message[0]).group(1))
    assert needed >= 2 * 0.75
