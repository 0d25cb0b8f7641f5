"""A full disk ends in three lines that name it, and space is all that a restart needs."""

import re

import pytest


@pytest.mark.parametrize('place', ['work', 'out'])
@pytest.mark.parametrize('kilobytes', [60, 250, 700])
def test_full_disk(one_person, undisturbed, new_app, small_disk, place, kilobytes):
    app = new_app(one_person)
    full = getattr(app, place)
    small_disk(full, f'{kilobytes}k')
    code, out, err = app.run()
    assert code == 1, out + err
    said = ' '.join((out + err).split())  # the table wraps its lines
    assert re.search(rf'the disk of {full}\S* is full', said), out + err
    assert 'Free space there' in said
    assert 'Traceback' not in out + err
    small_disk(full, '100m')
    app.complete()
    app.assert_like(undisturbed)


def test_report_tells_it(one_person, new_app, small_disk):
    """The page of the person says what happened, in the same words."""
    app = new_app(one_person)
    small_disk(app.work, '700k')
    app.run()
    assert 'is full' in (app.out / 'sub-01.html').read_text()
