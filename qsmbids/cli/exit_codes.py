"""Exit codes: what a script can tell from the number alone."""

OK = 0  # everything that was promised exists
SOME_FAILED = 1  # at least one acquisition failed; the others are written
USAGE = 2  # the command line is wrong
NOTHING_USABLE = 65  # no input that could be processed (EX_DATAERR)
INTERNAL = 70  # a fault of the program (EX_SOFTWARE)
INTERRUPTED = 130  # Ctrl-C
TERMINATED = 143  # SIGTERM
