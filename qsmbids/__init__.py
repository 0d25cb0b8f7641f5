"""qsmbids: a BIDS App from raw multi-echo GRE to age-aware susceptibility maps."""

__version__ = '0.1.0'
