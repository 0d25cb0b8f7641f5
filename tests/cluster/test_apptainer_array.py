"""A study in the image: each element is a container that real Apptainer runs in a job of Slurm.

One element is cancelled, one is asked to stop as before its time limit. After the same command
again everybody is done, with the maps of a container without Slurm.
"""

import os
import shutil
import subprocess

import pytest

from qsmbids.execution.slurm.trace import attempts

pytestmark = pytest.mark.cluster
PEOPLE = [f'sub-{n:02d}' for n in range(1, 5)]


@pytest.fixture
def image(sif, tmp_path):
    """The image, in a folder that has a blank in its name."""
    path = tmp_path / 'the images' / 'qsmbids 1.sif'
    path.parent.mkdir()
    try:
        os.link(sif, path)
    except OSError:
        shutil.copy(sif, path)
    return path


@pytest.fixture
def contained(study, apptainer, image):
    """The study, its jobs finding Apptainer through --setup as through a module."""
    made = study(PEOPLE)
    made.options = ['--image', image, '--setup', f"export PATH='{apptainer.parent}':$PATH"]
    return made


def maps(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in out.glob('sub-*/**/*.nii.gz')}


def directly(apptainer, image, study, folder):
    """Run everybody in one container, without Slurm."""
    folder.mkdir()
    folder.chmod(0o777)
    done = subprocess.run(
        [apptainer, 'run', '--cleanenv', '--containall', '-B', f'{study.bids}:/data:ro',
         '-B', f'{folder}:/direct', image, '/data', '/direct/out', 'participant',
         '--recon-only', '-w', '/direct/work'],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / 'out'


def test_array_of_containers(contained, apptainer, image, tmp_path):
    traces = contained.work / 'slurm' / 'trace'
    first = contained.call()
    assert first.returncode == 0, first.stderr
    array = contained.submissions()[0]['job_id']

    # one is cancelled; one gets the signal that Slurm sends before the time limit
    logs = contained.work / 'slurm' / '001'
    for number, how in ((2, ()), (3, ('--batch', '--signal=TERM'))):
        log = logs / f'log-{number}.txt'
        contained.wait_for(lambda log=log: log.is_file() and '[1/' in log.read_text())
        contained.slurm('scancel', *how, f'{array}_{number}')
    contained.wait_until_nothing_waits()
    people = contained.states()['participants']
    kinds = {name: person['kind'] for name, person in people.items()}
    stopped = ('sub-02', 'sub-03')
    assert kinds == {name: 'failed' if name in stopped else 'done' for name in PEOPLE}, people
    assert all('cancelled' in people[name]['reason'] for name in stopped)
    # the signal reached the program, which ended in order
    (attempt,) = attempts(traces, 'sub-03')
    assert (attempt.exit_code, attempt.stopped) == (143, 'cancelled')

    again = contained.call()
    assert again.returncode == 0, again.stderr
    assert '2 to be submitted' in again.stdout
    contained.wait_until_nothing_waits()
    final = contained.call('--status')
    assert final.returncode == 0, final.stdout
    assert all((contained.out / f'{name}.html').is_file() for name in PEOPLE)
    assert (contained.out / 'group.html').is_file()
    assert [len(attempts(traces, name)) for name in PEOPLE] == [1, 2, 2, 1]

    # --cleanenv hides the variables of Slurm: the limits are passed on
    assert '1 processor (--nprocs), 0.9 GB (--mem)' in (logs / 'log-1.txt').read_text()
    # what the containers leave behind is no more than the logs
    left = {path.name for path in logs.iterdir()}
    assert left == {'job.sh', 'participants.txt', *(f'log-{n}.txt' for n in (1, 2, 3, 4))}

    expected = maps(directly(apptainer, image, contained, tmp_path / 'direct'))
    assert sum(name.endswith('_Chimap.nii.gz') for name in expected) == len(PEOPLE)
    found = maps(contained.out)
    assert sorted(expected) == sorted(found)
    assert [name for name in expected if expected[name] != found[name]] == []


def test_memory_that_is_too_little_is_told(contained):
    """The kernel kills Apptainer itself; then the program, with more, refuses to begin."""
    for memory, words in (('30M', 'out of memory'), ('300M', 'its memory was too little')):
        done = contained.call('--participant-label', '01', '--no-group', '--mem', memory)
        assert done.returncode == 0, done.stderr
        contained.wait_until_nothing_waits()
        person = contained.states()['participants']['sub-01']
        assert (person['kind'], person['memory']) == ('failed', True), person
        assert words in person['reason']


def test_node_that_lacks_something_says_so(contained, image):
    def said(*options, then=lambda: None):
        held = ('--participant-label', '01', '--no-group', '--sbatch-args=--hold', *options)
        done = contained.call(*held)
        assert done.returncode == 0, done.stderr
        then()
        contained.slurm('scontrol', 'release', contained.submissions()[-1]['job_id'])
        contained.wait_until_nothing_waits()
        person = contained.states()['participants']['sub-01']
        assert (person['kind'], len(person['said'])) == ('failed', 3), person
        return person['said'][0]

    bare = '/usr/bin:/bin'
    if shutil.which('apptainer', path=bare) is None:
        assert 'There is no apptainer on' in said('--setup', f'PATH={bare}')
    assert 'cannot be read on' in said(then=image.unlink)
