import pickle

import pytest

from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.group.errors import GroupError
from qsmbids.lifespan.errors import LifespanError


@pytest.mark.parametrize('kind', [LifespanError, GroupError, AtlasError, RegistrationError])
def test_three_lines_whatever_is_quoted_and_in_every_process(kind):
    error = kind('A library said:\nno\n  such file.', 'It matters.', 'Do this.')
    assert str(error).splitlines() == [
        'A library said: no such file.', 'It matters.', 'Do this.',
    ]  # fmt: skip
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
