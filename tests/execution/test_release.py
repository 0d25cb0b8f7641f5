"""A work folder shrinks by what is finished, and by nothing else."""

import pytest

from qsmbids.execution.work_folder import empty, empty_temporary, release


def fill(folder):
    folder.mkdir(parents=True)
    (folder / 'chi.nii').write_bytes(b'x')
    return folder


def test_only_the_steps_of_the_finished_go(tmp_path):
    gone = fill(tmp_path / 'qsmbids_0_1_wf' / 'sub_01_wf' / 'load')
    older = fill(tmp_path / 'qsmbids_0_0_wf' / 'sub_01_wf' / 'load')
    kept = [
        fill(tmp_path / 'qsmbids_0_1_wf' / 'sub_02_wf' / 'load'),
        fill(tmp_path / 'qsmbids_0_1_wf' / 'sub_01_wf_more' / 'load'),
        *(fill(tmp_path / name) for name in ('crash', 'log', 'cache', 'qsmbids_tmp', 'sub_01_wf')),
    ]
    release(tmp_path, 'sub_01_wf')
    assert not gone.parent.exists()
    assert not older.parent.exists()
    assert all((folder / 'chi.nii').exists() for folder in kept)
    release(tmp_path, 'sub_01_wf')  # nothing there any more


def test_what_a_killed_release_left_goes_too(tmp_path):
    left = fill(tmp_path / 'qsmbids_0_1_wf' / '.released-sub_02_wf-123' / 'load')
    release(tmp_path, 'sub_01_wf')
    assert not left.parent.exists()


def test_nothing_outside_the_work_folder_is_touched(tmp_path):
    work, outside = tmp_path / 'work', fill(tmp_path / 'outside')
    run_folder = work / 'qsmbids_0_1_wf'
    fill(run_folder / 'sub_02_wf')
    (run_folder / 'sub_01_wf').symlink_to(outside)
    (work / 'qsmbids_0_2_wf').symlink_to(tmp_path)
    inside = fill(run_folder / 'sub_03_wf' / 'load')
    (inside / 'link').symlink_to(outside)
    release(work, 'sub_01_wf')
    release(work, 'sub_03_wf')
    release(work, 'outside')
    assert not inside.exists()
    assert (outside / 'chi.nii').exists()


@pytest.mark.parametrize('name', ['', '.', '..', '../sub_01_wf', 'a/b', '*', 'sub_*_wf', '/tmp'])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match='no name of a workflow'):
        release(tmp_path, name)


def test_temporary_files_of_killed_runs_go(tmp_path):
    fill(tmp_path / 'qsmbids_tmp' / 'folder')
    (tmp_path / 'qsmbids_tmp' / 'file').write_bytes(b'x')
    outside = fill(tmp_path / 'outside')
    (tmp_path / 'qsmbids_tmp' / 'link').symlink_to(outside)
    empty_temporary(tmp_path)
    assert list((tmp_path / 'qsmbids_tmp').iterdir()) == []
    assert (outside / 'chi.nii').exists()
    empty_temporary(tmp_path / 'absent')


def test_a_clean_start_leaves_alone_what_is_not_ours(tmp_path):
    work = tmp_path / 'work'
    steps = [fill(work / name) for name in ('qsmbids_0_1_wf', 'atlas_build')]
    others = [fill(work / name) for name in ('bids', 'tmp', 'log', 'crash', 'cache')]
    (work / 'lock.json').write_text('{}')
    (work / 'qsmbids_linked_wf').symlink_to(fill(tmp_path / 'elsewhere'))
    empty(work)
    assert not any(folder.exists() for folder in steps)
    assert all(any(folder.iterdir()) for folder in others)
    assert (work / 'lock.json').is_file()
    assert any((tmp_path / 'elsewhere').iterdir())
