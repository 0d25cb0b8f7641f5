"""A page and a state that tell of other findings than the plan are made anew."""

from dataclasses import replace

from qsmbids.config import Config
from qsmbids.plan.models import Issue, Severity
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.outcome import Outcome
from qsmbids.workflows.status import is_reported, write_status


def test_reported_until_something_else_is_found(dataset, tmp_path):
    out = tmp_path / 'out'
    config = Config(dataset, out, tmp_path / 'work', run_id='20260101-120000_a')
    person = make_plan(dataset).participants[0]
    assert not is_reported(person, out)
    write_status(person, [Outcome(a, {}, (), ()) for a in person.usable], config)
    assert not is_reported(person, out), 'there is no page'
    (out / f'sub-{person.label}.html').write_text('a page')
    assert is_reported(person, out)
    more = Issue('NO_PHASE', Severity.ERROR, 'Run 2 has no phase.', scope='sub-01_run-2')
    assert not is_reported(replace(person, issues=(*person.issues, more)), out)
    assert not is_reported(replace(person, acquisitions=()), out)
    later = replace(config, run_id='20260102-120000_b')
    write_status(replace(person, acquisitions=()), [], later)
    assert not is_reported(person, out), 'the newest state counts'
    (out / f'sub-{person.label}' / 'log' / later.run_id / 'status.json').write_text('{')
    assert not is_reported(person, out)
