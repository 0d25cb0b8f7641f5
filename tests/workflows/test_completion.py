"""A person is finished with the last of their steps, whatever the others do."""

from types import SimpleNamespace

from qsmbids.workflows.completion import Completion


def test_each_person_once_and_only_when_all_steps_ended():
    owners = {'run.a.load': 'a', 'run.a.sink': 'a', 'run.b.load': 'b', 'run.b.sink': 'b'}
    finished = []
    completion = Completion(owners, finished.append)
    events = [
        ('run.a.load', 'start'), ('run.b.load', 'end'), ('run.a.load', 'end'),
        ('run.b.sink', 'exception'), ('run.a.sink', 'end'), ('run.a.sink', 'end'),
        ('elsewhere', 'end'),
    ]  # fmt: skip
    for name, status in events:
        completion(SimpleNamespace(fullname=name), status)
    assert finished == ['a']
