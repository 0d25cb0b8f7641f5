"""What to tell when Slurm refuses or ends the job of a step, in three lines each."""

from __future__ import annotations

# what Slurm calls the end of a job, what that means, and what helps
_ENDS = {
    'OUT_OF_MEMORY': (
        'it used more than the memory it was given',
        "Give every step more, for example --cluster-args '--mem=8G', and start again",
    ),
    'TIMEOUT': (
        'its time was up',
        "Allow more time, for example --cluster-args '-t 4:00:00', and start again",
    ),
    'DEADLINE': ('its deadline had passed', 'Move the deadline, and start again'),
    'CANCELLED': ('somebody cancelled it', 'Start again'),
    'PREEMPTED': ('a more urgent job took its place', 'Start again, or use another partition'),
    'NODE_FAIL': ('its node failed', 'Start again'),
    'BOOT_FAIL': ('its node did not start', 'Start again'),
}


def ended(job: int, state: str, code: str, asked: str, log: str) -> str:
    """Return the text for a job that left no result.

    Parameters
    ----------
    job : int
        Its number.
    state, code : str
        Its end as Slurm calls it, and its exit code; '' if unknown.
    asked : str
        What it was given, in words.
    log : str
        File of what it printed.
    """
    if state in _ENDS:
        why, advice = _ENDS[state]
        what = f'Slurm ended job {job} of this step ({state}): {why} ({asked}).'
    elif state in ('FAILED', 'COMPLETED'):
        what = f'Job {job} of this step ended ({state}, exit code {code}) without a result.'
        advice = f'Look at {log}; if the work folder is one that all nodes see, start again'
    else:
        what = f'Job {job} of this step vanished, and Slurm cannot say how it ended.'
        advice = f'Look at {log}, and start again'
    return _text(what, 'Without it the steps that follow cannot run.', f'{advice}: ')


def refused(said: str, asked: str) -> str:
    """Return the text for a job that sbatch did not accept."""
    return _text(
        f'Slurm refused the job of this step: {said.strip()}',
        f'It was asked for {asked}, with the options of --cluster-args or of the plugin file.',
        'Choose a partition whose nodes have that, or mend the options, and start again: ',
    )


def never(job: int, reason: str, asked: str) -> str:
    """Return the text for a job that would wait for ever."""
    return _text(
        f'Job {job} of this step can never start; Slurm gives the reason {reason}.',
        f'It was asked for {asked}, with the options of --cluster-args or of the plugin file.',
        'Mend the options, and start again: ',
    )


def leftovers(name: str, why: str, record: str) -> str:
    """Return the text for jobs of an earlier run that could not be cancelled."""
    return (
        f'Jobs of an earlier run, named {name}, may still be at work: {why}.\n'
        'Two runs in one work folder would overwrite each other.\n'
        f'End them (scancel --name={name}) and start again; if there are none, remove {record}.'
    )


def _text(what: str, why: str, advice: str) -> str:
    return f'ClusterJobError: {what}\n{why}\n{advice}finished steps are kept.\n'
