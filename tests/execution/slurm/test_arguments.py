"""The command line of ``qsmbids-slurm``: what is refused, and what is passed on to whom."""

import pytest

from qsmbids.cli import slurm
from qsmbids.cli.slurm_arguments import read


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


def test_image_that_is_not_there(bids, capsys):
    assert slurm.main([bids, 'out', '--image', 'no.sif']) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_status_and_cancel_need_no_more_than_the_work_folder(bids, tmp_path, scheduler, capsys):
    for what in ('--status', '--cancel'):
        assert slurm.main([what, '-w', 'nowhere']) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 3
        assert 'Nothing was submitted yet' in said
    assert not (tmp_path / 'nowhere').exists()
