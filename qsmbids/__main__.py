"""Run as ``python -m qsmbids``."""

import sys

from qsmbids.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
