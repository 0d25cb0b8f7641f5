"""A head that can be simulated at any age, and the BIDS dataset made of it."""

from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.simulate import Head, simulate_head
from qsmbids.phantom.truth import RegionTruth

__all__ = ['Head', 'PhantomParameters', 'RegionTruth', 'simulate_head']
