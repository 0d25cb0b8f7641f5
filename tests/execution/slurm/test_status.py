"""The state of a person, from what scheduler, trace and outputs say."""

import pytest

from qsmbids.execution.slurm.resources import Request
from qsmbids.execution.slurm.state import State, Submission, load, save
from qsmbids.execution.slurm.status import Jobs, Kind, adopt, people
from qsmbids.execution.slurm.submit import next_request

REQUEST = Request(1000, 30, 1)


def submission(number=1, job_id='7', elements=(('sub-a',), ('sub-b',)), name='q1'):
    return Submission(number, name, job_id, 'array', elements, REQUEST, 'now', 'cmd', 'opts')


@pytest.fixture
def judge(scheduler, tmp_path, write_trace):
    """Judge sub-b, element 2 of array 7."""

    def run(job=None, attempt=None, elements=(('sub-a',), ('sub-b',)), done=False):
        if job:
            (scheduler.home / 'jobs.json').write_text('{"7": {"name": "q1", "states": {}}}')
            scheduler.set('7', '2', job)
        if attempt is not None:
            write_trace('sub-b', '7_2', attempt or None)
        state = State({'options': 'opts'}, (submission(elements=elements),))
        return people(['sub-b'], state, Jobs(state), tmp_path / 'work', lambda *_: done)[0]

    return run


@pytest.mark.parametrize(
    ('job', 'attempt', 'kind', 'words'),
    [
        ('PENDING', None, Kind.QUEUED, ''),
        ('RUNNING', None, Kind.RUNNING, ''),
        ('RUNNING', (), Kind.RUNNING, 'on n1'),
        ('PENDING', (1, False, ''), Kind.QUEUED, ''),  # put back into the queue
        ('CANCELLED', None, Kind.NEVER, 'cancelled before it began'),
        ('CANCELLED', (), Kind.FAILED, 'cancelled (begun'),
        ('NODE_FAIL', (), Kind.FAILED, 'the node failed'),
        ('OUT_OF_MEMORY', (), Kind.FAILED, 'out of memory'),
        ('OUT_OF_MEMORY', (1, False, ''), Kind.FAILED, 'out of memory, exit code 1'),
        ('TIMEOUT', (), Kind.FAILED, 'out of time'),
        ('FAILED', (143, False, 'time'), Kind.FAILED, 'out of time, exit code 143'),
        ('CANCELLED', (143, False, 'cancelled'), Kind.FAILED, 'cancelled, exit code 143'),
        ('FAILED', (143, False, 'cancelled'), Kind.FAILED, 'cancelled, exit code 143'),
        ('NODE_FAIL', (143, False, 'cancelled'), Kind.FAILED, 'the node failed, exit code 143'),
        ('FAILED', (-9, False, ''), Kind.FAILED, 'killed by signal 9'),
        ('FAILED', None, Kind.FAILED, 'does the node see the work folder'),
        # nobody knows the job any more
        (None, None, Kind.NEVER, 'no longer knows'),
        (None, (), Kind.FAILED, 'lost: killed, node failure or cancelled'),
        (None, (1, True, ''), Kind.FAILED, 'out of memory'),
        (None, (0, False, ''), Kind.FAILED, 'outputs are missing'),
    ],
)
def test_reasons(judge, job, attempt, kind, words):
    found = judge(job, attempt)
    assert (found.kind, words in found.reason) == (kind, True), found


def test_outputs_decide_what_is_done(judge):
    assert judge('FAILED', (-9, False, ''), done=True).kind is Kind.DONE


def test_outputs_of_before_do_not_end_what_runs(judge):
    assert judge('RUNNING', (), done=True).kind is Kind.RUNNING


def test_accounting_knows_what_the_queue_forgot(judge, scheduler):
    (scheduler.home / 'accounts').write_text('7_2|q1|NODE_FAIL\n7_[3-9]|q1|PENDING\n')
    assert 'the node failed' in judge(None, ()).reason


def test_second_of_an_element_waits_for_the_first(judge):
    elements = ((), ('sub-a', 'sub-b'))
    assert judge('RUNNING', None, elements).kind is Kind.QUEUED
    found = judge('TIMEOUT', None, elements)
    assert (found.kind, found.time) == (Kind.NEVER, False)
    assert 'before its turn (out of time)' in found.reason


def test_trace_of_an_earlier_job_says_nothing_of_the_new_one(judge, write_trace):
    write_trace('sub-b', '3_1', (1, True, ''))
    assert judge('CANCELLED').kind is Kind.NEVER


def test_job_whose_number_could_not_be_noted_is_found_by_its_name(scheduler):
    book = '{"9": {"name": "q1", "states": {"1": "RUNNING", "2": "PENDING"}}}'
    (scheduler.home / 'jobs.json').write_text(book)
    state = State({}, (submission(job_id=''),))
    assert adopt(state, Jobs(state)).submissions[0].job_id == '9'


def test_record_comes_back_as_it_was(tmp_path):
    state = State({'options': 'x'}, (submission(), submission(2, '')))
    save(tmp_path, state)
    assert load(tmp_path) == state
    assert [p.name for p in (tmp_path / 'slurm').iterdir()] == ['submissions.json']


def test_more_of_what_it_died_of():
    need, last = Request(2000, 30, 1), Request(4000, 120, 1)
    assert next_request(need, last, 2, memory=True, time=False) == Request(6000, 30, 1)
    assert next_request(need, last, 2, memory=False, time=True) == Request(2000, 90, 1)
    assert next_request(need, last, 2, memory=False, time=False) == need
    small = Request(100, 30, 1)
    assert next_request(need, small, 1, memory=True, time=False) == need
