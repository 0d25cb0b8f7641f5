"""A head that can be simulated at any age, and the BIDS dataset made of it."""

from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.simulate import Head, simulate_head
from qsmbids.phantom.truth import RegionTruth
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER

__all__ = [
    'TRUTH_FOLDER',
    'Head',
    'PhantomParameters',
    'RegionTruth',
    'simulate_head',
    'write_dataset',
]
