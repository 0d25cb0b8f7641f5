"""Input that goes away or changes, damaged work files, clocks, and two runs at once."""

import os
import re
import shutil
import signal
import time

import nibabel as nib
import numpy as np


def steps(text):
    return [line for line in text.splitlines() if line.startswith('[')]


def test_input_goes_away_in_mid_run(two_people, undisturbed_two, new_app, tmp_path):
    bids = shutil.copytree(two_people, tmp_path / 'bids', copy_function=shutil.copy2)
    app = new_app(bids)
    process = app.start()
    app.wait_for(process, 'found')
    away = bids / 'sub-02'
    away.rename(tmp_path / 'away')
    code, out, err = app.finish(process)
    assert code == 1, out + err
    assert 'Traceback' not in out + err
    table = out.partition('where to look')[2]
    states = {line.split()[0]: line for line in table.splitlines() if line.startswith('sub-0')}
    assert 'complete' in states['sub-01']
    assert 'FAILED' in states['sub-02']
    assert re.search(rf'{away}/anat/sub-02_\S+ is not there', ' '.join(table.split()))
    (tmp_path / 'away').rename(away)
    said = app.complete()
    assert not any('sub-01' in line for line in steps(said)), 'it was finished'
    app.assert_like(undisturbed_two)


def test_cut_input_is_named(two_people, new_app, tmp_path):
    bids = shutil.copytree(two_people, tmp_path / 'bids', copy_function=shutil.copy2)
    phase = bids / 'sub-02/anat/sub-02_echo-2_part-phase_MEGRE.nii.gz'
    app = new_app(bids)
    process = app.start()
    app.wait_for(process, 'found')
    os.truncate(phase, phase.stat().st_size // 2)
    code, out, err = app.finish(process)
    assert code == 1, out + err
    assert 'Traceback' not in out + err
    assert f'{phase} cannot be read to its end' in ' '.join(out.split())


def test_changed_input_is_computed_again(two_people, new_app, tmp_path):
    bids = shutil.copytree(two_people, tmp_path / 'bids', copy_function=shutil.copy2)
    app = new_app(bids)
    app.complete()
    before = app.results()
    assert steps(app.complete()) == []
    magnitude = bids / 'sub-02/anat/sub-02_echo-1_part-mag_MEGRE.nii.gz'
    image = nib.load(magnitude)
    louder = np.asarray(image.dataobj) * np.float32(1.5)
    nib.save(nib.Nifti1Image(louder, image.affine, image.header), magnitude)
    said = steps(app.complete())
    assert said
    assert not any('sub-01' in line for line in said)
    changed = {name for name, content in app.results().items() if before[name] != content}
    assert changed
    assert all(name.startswith('sub-02/') for name in changed)
    assert steps(app.complete()) == []


def test_damaged_work_files_are_made_again(one_person, undisturbed, new_app):
    app = new_app(one_person, '--keep-work')
    app.complete()
    (done,) = app.out.glob('sub-01/log/*_done.json')
    done.unlink()
    run = next(app.work.glob('qsmbids_*_wf/*'))
    os.truncate(run / 'load' / 'phase.nii', 1000)
    (run / 'inversion' / 'chi_raw.nii').unlink()
    os.truncate(next((run / 'relaxometry').glob('result_*')), 20)
    os.truncate(next((run / 'background').glob('_0x*.json')), 20)
    for name in ('_node.pklz', '_inputs.pklz'):
        os.truncate(run / 'quality' / name, 0)
    said = app.complete()
    assert said.count('the step runs again') == 4
    app.assert_like(undisturbed)


def test_clock_goes_backwards(one_person, undisturbed, new_app):
    """Everything that the first run wrote lies in the future of the second."""
    app = new_app(one_person)
    process = app.start()
    app.wait_for(process, 'dipole inversion')
    app.kill(process)
    tomorrow = time.time() + 86400
    for folder in (app.work, app.out):
        for path in folder.rglob('*'):
            os.utime(path, (tomorrow, tomorrow))
    app.complete()
    app.assert_like(undisturbed)


def test_second_run_in_a_work_folder_is_refused(one_person, undisturbed, new_app):
    app = new_app(one_person)
    first = app.start()
    app.wait_for(first, 'reading the echoes')
    os.killpg(first.pid, signal.SIGSTOP)  # else it may end before the other one looks
    code, out, err = app.run()
    os.killpg(first.pid, signal.SIGCONT)
    assert code == 2, out + err
    assert len(err.splitlines()) == 3
    assert f'{app.work} is in use by another run (process {first.pid} on ' in err
    code, out, err = app.finish(first)
    assert code == 0, out + err
    app.assert_like(undisturbed)


def test_two_people_at_once_into_one_output(two_people, undisturbed_two, new_app):
    """Jobs of an array: one output folder, a work folder each."""
    apps = [new_app(two_people, '--participant-label', label, name=label) for label in '12']
    for app, label in zip(apps, ('01', '02'), strict=True):
        app.options = ('--participant-label', label)
    (apps[1].folder / 'out').symlink_to(apps[0].out)
    processes = [app.start() for app in apps]
    for app, process in zip(apps, processes, strict=True):
        code, out, err = app.finish(process)
        assert code == 0, out + err
    apps[0].assert_like(undisturbed_two)
