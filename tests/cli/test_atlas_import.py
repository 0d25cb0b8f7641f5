"""``qsmbids-atlas import`` and ``show`` as a person calls them."""

import numpy as np
import pytest

from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.images import write_image
from qsmbids.atlas.questions import Question
from qsmbids.cli.atlas import main
from qsmbids.cli.atlas_import import ask_at_terminal

SHAPE = (26, 30, 24)
LPI = np.array([[-5.0, 0, 0, 62], [0, -5, 0, 72], [0, 0, -5, 58], [0, 0, 0, 1]])


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Two decades as LPI, background at the minimum; names do not say the sides."""
    folder = tmp_path / 'download'
    folder.mkdir()
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing='ij'), -1)
    world = voxels @ LPI[:3, :3].T + LPI[:3, 3]
    brain = np.linalg.norm(world / (1, 1.15, 0.9), axis=-1) < 52
    labels = np.zeros(SHAPE, np.int16)
    for index, x in ((301, -20), (302, 20)):
        labels[np.linalg.norm(world - (x, 0, 5), axis=-1) < 13] = index
    for low in (20, 30):
        chi = np.where(brain, 0.01 + (labels > 0) * low / 400, -0.3).astype(np.float32)
        write_image(folder / f'{low}_{low + 10}_BB_LPI.nii', chi, LPI)
        write_image(folder / f'{low}_{low + 10}_atlas_label.nii.gz', labels, LPI)
        write_image(folder / f'{low}_{low + 10}_mag.nii.gz', brain * np.float32(90), LPI)
    (folder / 'labels.txt').write_text('301 Putamen\n302 Putamen\n')
    monkeypatch.chdir(tmp_path)
    return folder


def call(*more, folder='download', cache='cache'):
    return main(['import', folder, '--atlas-cache', cache, *more])


STATED = ('--name', 'Mine', '--license', 'none given', '--labels', 'download/labels.txt')


def test_import_then_show(download, tmp_path, capsys):
    code = call(*STATED, '--sides', 'from-position', '--shared-space', 'yes')
    out = capsys.readouterr().out
    assert code == 0
    assert '- sides from position: 1 labels left, 1 right' in out
    assert 'participant --atlas Mine --atlas-cache cache' in out
    atlas = open_atlas(tmp_path / 'cache' / 'Mine')
    assert [b.name for b in atlas.labels] == ['Putamen Left', 'Putamen Right']
    assert main(['show', 'Mine', '--atlas-cache', 'cache', '--age', '25']) == 0
    assert (tmp_path / 'Mine.png').read_bytes().startswith(b'\x89PNG')
    assert main(['show', 'cache/Mine', '--cohort', '7']) == 65
    assert '1 [20, 30), 2 [30, 40)' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('left_out', 'option'),
    [('--name', '--name'), ('--license', '--license'), ('--labels', '--labels'),
     ('--sides', '--sides from-position|from-names'), ('--shared-space', '--shared-space yes|no')],
)  # fmt: skip
def test_without_a_terminal_the_option_is_named(download, tmp_path, capsys, left_out, option):
    given = [*STATED, '--sides', 'from-position', '--shared-space', 'yes']
    place = given.index(left_out)
    assert call(*given[:place], *given[place + 2 :]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert option in lines[2]
    cache = tmp_path / 'cache'
    assert not cache.exists() or not list(cache.iterdir())


def test_broken_folder_is_told_in_three_lines(download, capsys):
    (download / '20_30_atlas_label.nii.gz').unlink()
    assert call(*STATED) == 65
    assert 'has no label image' in capsys.readouterr().err
    assert call(*STATED, folder='absent') == 65
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_cache_that_cannot_be_written_to(download, tmp_path, capsys):
    (tmp_path / 'file').write_text('in the way')
    assert call(*STATED, cache='file/cache') == 2
    assert 'cannot be read or written' in capsys.readouterr().err


def test_terminal_takes_enter_for_the_proposal_and_asks_again(capsys):
    question = Question('--units', 'Which unit?', 'Because.', ('ppm', 'ppb'), 'ppb')
    typed = iter(['ppt', ''])
    assert ask_at_terminal(question, lambda prompt: next(typed)) == 'ppb'
    assert 'Which unit?' in capsys.readouterr().out

    def closed(prompt):
        raise EOFError

    assert ask_at_terminal(question, closed) == ''


def test_builtin_atlas_can_be_shown(tmp_path, capsys):
    path = tmp_path / 'picture.png'
    assert main(['show', 'QSMLifespan', '--cohort', '6', '-o', str(path)]) == 0
    assert path.stat().st_size > 50_000
    assert str(path) in capsys.readouterr().out
