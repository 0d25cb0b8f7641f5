"""The command line of ``qsmbids-slurm``: what is refused, and what is passed on to whom."""

import struct
from pathlib import Path

import pytest

from qsmbids.cli import slurm
from qsmbids.cli.slurm_arguments import paths_in, read
from qsmbids.execution.slurm.image import checked_image


@pytest.fixture
def bids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bids').mkdir()
    return 'bids'


def test_work_folder_written_right_behind_its_option_is_not_shared_by_all(bids, tmp_path):
    (tmp_path / 'masks').mkdir()
    own, passed = read([bids, 'out', '-wscratch', '-dm=masks', '-vw', 'other'])
    assert own.work_dir == passed.config.work_dir == tmp_path / 'other'
    assert passed.participant == (f'-d=m={tmp_path}/masks', '-v')
    assert passed.config.derivatives == {'m': tmp_path / 'masks'}
    assert read([bids, 'out', '-wscratch'])[1].config.work_dir == tmp_path / 'scratch'


def test_what_belongs_to_a_job_is_not_swallowed(bids, capsys):
    for option in ('--nprocs', '--n_cpus=8'):
        with pytest.raises(SystemExit):
            read([bids, 'out', option, '8'])
        assert f'{option.partition("=")[0]}: say --cpus' in capsys.readouterr().err
    for option in ('--mem-mb', '--mem_mb'):
        assert read([bids, 'out', option, '16000'])[0].mem == 16000
    assert read([bids, 'out', '--dry_run'])[0].dry_run


def test_options_of_the_levels_and_those_that_do_not_matter(bids):
    words = [bids, 'out', '--recon-only', '--model', 'chi ~ age', '--redo', '-v', '--cosmos']
    passed = read(words)[1]
    assert passed.participant == ('--recon-only', '--redo', '-v', '--cosmos')
    assert '--model' in passed.group
    again = read([bids, 'out', '--cosmos', '--recon-only', '--model', 'chi ~ sex'])[1]
    assert again.options == passed.options == '--cosmos --recon-only'
    assert again.group_options != passed.group_options


@pytest.mark.parametrize(
    ('words', 'error'),
    [
        (['nowhere', 'out'], 'no such folder: <nowhere>'),
        (['bids', 'out', '--no-such-option'], 'there is no option --no-such-option'),
        (['bids', 'out', '--inversion', 'nonsense'], 'nonsense'),
        (['bids'], 'give OUTPUT_DIR'),
        (['bids', 'group'], 'give OUTPUT_DIR'),
        ([], 'BIDS_DIR and OUTPUT_DIR are needed'),
        (['bids', 'out', 'group'], 'is for participants'),
    ],
)
def test_wrong_usage_shows_the_usage_of_this_program_only(bids, words, error, capsys):
    with pytest.raises(SystemExit) as end:
        slurm.main(words)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith('usage: qsmbids-slurm')
    assert len(said.splitlines()) < 8
    assert error in said.splitlines()[-1] or 'inversion' in said


@pytest.mark.parametrize(
    ('image', 'said'),
    [
        ('no.sif', 'There is no image'),
        ('.', 'is no file'),
        ('empty.sif', 'is no image of Apptainer'),
        ('page.sif', 'is no image of Apptainer'),
        ('cut.sif', 'is cut off: it has 200 bytes of 376'),
        ('loop.sif', 'There is no image'),
        ('docker://x/y:1', 'apptainer build qsmbids.sif docker://x/y:1'),
    ],
)
def test_image_that_cannot_be_run(bids, capsys, tmp_path, monkeypatch, image, said):
    monkeypatch.chdir(tmp_path)
    Path('empty.sif').touch()
    Path('loop.sif').symlink_to('loop.sif')
    Path('page.sif').write_text('<html>404</html>')
    # as Apptainer writes it: 300 bytes of data from byte 76 on
    head = b'#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0'.ljust(112, b'\0')
    Path('cut.sif').write_bytes((head + struct.pack('<2q', 76, 300)).ljust(200, b'\0'))
    assert slurm.main([bids, 'out', '--image', image]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert said in '\n'.join(lines)


def test_whole_image(tmp_path):
    head = b'#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0'.ljust(112, b'\0')
    path = tmp_path / 'a b.sif'
    path.write_bytes(head + struct.pack('<2q', 128, 2) + b'..')
    assert checked_image(str(path)) == path
    unpacked = tmp_path / 'sandbox'
    (unpacked / '.singularity.d').mkdir(parents=True)
    assert checked_image(str(unpacked)) == unpacked


def test_status_and_cancel_need_no_more_than_the_work_folder(bids, tmp_path, scheduler, capsys):
    for what in ('--status', '--cancel'):
        assert slurm.main([what, '-w', 'nowhere']) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 3
        assert 'Nothing was submitted yet' in said
    assert not (tmp_path / 'nowhere').exists()


def test_own_atlas_of_the_installation_is_shown_to_the_image(bids, tmp_path, monkeypatch):
    monkeypatch.setattr('sys.prefix', str(tmp_path / 'venv'))
    monkeypatch.delenv('QSMBIDS_ATLAS_CACHE', raising=False)
    place = tmp_path / 'venv/share/qsmbids/atlases'
    (place / 'Mine').mkdir(parents=True)
    (tmp_path / 'x.sif').write_bytes(b'hsqs')
    words = [bids, 'out', '--atlas', 'Mine']
    passed = read([*words, '--image', 'x.sif'])[1]
    assert passed.participant == ('--atlas', 'Mine', '--atlas-cache', str(place))
    assert passed.group[-2:] == ('--atlas-cache', str(place))
    assert place in paths_in(passed.participant)
    assert '--atlas-cache' not in passed.options
    assert '--atlas-cache' not in read(words)[1].participant
    # one that was fetched is in the image too, and nodes may not see this installation
    (place / 'Mine' / 'source.json').touch()
    assert '--atlas-cache' not in read([*words, '--image', 'x.sif'])[1].participant
