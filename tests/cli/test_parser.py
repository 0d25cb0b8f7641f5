"""The command line: what is accepted, and exit code 2 for what is not."""

import pytest

from qsmbids.cli.parser import parse


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bids').mkdir()
    return [str(tmp_path / 'bids'), str(tmp_path / 'out')]


def test_defaults(folders, tmp_path):
    config = parse([*folders, 'participant'])
    assert config.levels == ('participant',)
    assert config.work_dir == tmp_path / 'work'
    assert config.methods['inversion'] == 'sstv'
    assert config.reference == 'whole-brain'
    assert config.nprocs >= 1
    assert config.mem_gb > 0


def test_labels_lose_prefix_and_doubles(folders):
    config = parse([*folders, 'participant', '--participant-label', 'sub-02', '01', '02'])
    assert config.participant_labels == ('01', '02')
    config = parse([*folders, 'participant', '--session_id', 'ses-b'])
    assert config.session_labels == ('b',)


def test_both_levels_in_either_order(folders):
    assert parse([*folders, 'group', 'participant']).levels == ('participant', 'group')


@pytest.mark.parametrize('option', ['--participant_label', '--participant-label'])
def test_spellings(folders, option):
    assert parse([*folders, 'participant', option, '1']).participant_labels == ('1',)


def test_parameters_reach_the_method(folders):
    config = parse([*folders, 'participant', '--param', 'inversion.regularisation=0.2'])
    assert config.parameters('inversion')['regularisation'] == 0.2


@pytest.mark.parametrize(
    'wrong',
    [
        ['--param', 'inversion.nothing=1'],
        ['--param', 'inversion.regularisation=much'],
        ['--param', 'threshold=1'],
        ['--param', 'nostage.threshold=1'],
        ['--inversion', 'magic'],
        ['--mem', '-3'],
        ['--mem', 'lots'],
        ['--nprocs', '-1'],
        ['--age', '-1'],
        ['--derivatives', 'masks=/no/such/folder'],
        ['--bids-filter-file', '/no/such/file'],
        ['--unknown-option'],
        ['--participant-lab', '01'],
    ],
)
def test_wrong_usage_is_exit_code_two(folders, wrong):
    with pytest.raises(SystemExit) as end:
        parse([*folders, 'participant', *wrong])
    assert end.value.code == 2


def test_output_must_not_be_the_dataset(folders, capsys):
    with pytest.raises(SystemExit):
        parse([folders[0], folders[0], 'participant'])
    assert 'derivatives/qsmbids' in capsys.readouterr().err


def test_work_folder_must_not_lie_in_the_dataset(folders):
    with pytest.raises(SystemExit):
        parse([*folders, 'participant', '-w', folders[0] + '/work'])


def test_filter_file_with_unknown_key(folders, tmp_path, capsys):
    path = tmp_path / 'filter.json'
    path.write_text('{"bold": {}}')
    with pytest.raises(SystemExit):
        parse([*folders, 'participant', '--bids-filter-file', str(path)])
    assert 'megre' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('text', 'gb'), [('8000', 8.0), ('8G', 8.0), ('8GB', 8.0), ('512m', 0.512), ('1T', 1000.0)]
)
def test_memory_sizes(folders, text, gb):
    assert parse([*folders, 'participant', '--mem', text]).mem_gb == pytest.approx(gb)
