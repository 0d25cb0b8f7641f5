"""ANTs without the libraries that only its own plots and statistics need.

antspyx imports statsmodels, scikit-learn, scipy.stats and pyplot when it is imported itself: two
seconds of processor time and 0.1 GB in every process that registers something, and none of it
is used for that. Here stand-ins take their places meanwhile; each gives way to the real library
when something of it is used, so that ANTs stays whole for whoever plots with it.

Use ``from qsmbids.atlas.light_ants import ants``.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

PUT_OFF = (
    'matplotlib',
    'matplotlib.animation',
    'matplotlib.lines',
    'matplotlib.mlab',
    'matplotlib.patches',
    'matplotlib.patheffects',
    'matplotlib.pyplot',
    'mpl_toolkits',
    'mpl_toolkits.axes_grid1',
    'mpl_toolkits.axes_grid1.inset_locator',
    'scipy.stats',
    'sklearn',
    'sklearn.linear_model',
    'sklearn.preprocessing',
    'statsmodels',
    'statsmodels.api',
    'statsmodels.formula',
    'statsmodels.formula.api',
)


class StandIn(ModuleType):
    """A module, or something in one, that is imported when it is used.

    Parameters
    ----------
    name : str
        Dotted name of what it stands for.
    """

    __path__: list[str] = []  # submodules may be imported from it
    _in_place = True  # of all stand-ins alike: while ANTs is being imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        if StandIn._in_place:
            return StandIn(f'{self.__name__}.{name}')
        return getattr(pkgutil.resolve_name(self.__name__), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import the real one and call it."""
        return pkgutil.resolve_name(self.__name__)(*args, **kwargs)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Put stand-ins where nothing real is yet, and take them away again."""
    mine = {name: StandIn(name) for name in PUT_OFF if name not in sys.modules}
    sys.modules.update(mine)
    try:
        yield
    finally:
        StandIn._in_place = False
        for name in mine:
            del sys.modules[name]


def _load() -> ModuleType:
    if 'ants' in sys.modules:
        return sys.modules['ants']
    with _stand_ins(), suppress(Exception):  # another version may do more than name them
        return importlib.import_module('ants')
    for name in [name for name in sys.modules if name.startswith('ants.') or name == 'ants']:
        if name != 'ants.lib':  # compiled: cannot be loaded twice
            del sys.modules[name]
    return importlib.import_module('ants')


ants = _load()
