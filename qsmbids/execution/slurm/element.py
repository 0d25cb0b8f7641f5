"""What an array element runs: its people, one after another.

Run as ``python -m qsmbids.execution.slurm.element LIST NUMBER ... -- COMMAND``; the batch
script replaces itself by this process, so that it is the one that the scheduler asks to stop.
It passes that on to the program, waits for it, and writes how it ended. In the command,
``{name}`` stands for the person. Only the standard library is imported.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from qsmbids.execution import cgroups
from qsmbids.execution.slurm.trace import Busy, Recorder

NAME = '{name}'
BUSY = 75  # exit code: someone else has this person in hand (EX_TEMPFAIL)
_WAIT_S = 60.0  # for the last process of an element that was just killed
_EARLY_S = 190.0  # Slurm warns 120 s before the limit, with a grain of 60 s


class Element:
    """Start the program for each person and pass on the wish to stop.

    Parameters
    ----------
    traces : Path
        Folder of the traces.
    job : str
        ``17_3``.
    minutes : float
        Time limit, to tell its approach from a person who cancels.
    """

    def __init__(self, traces: Path, job: str, minutes: float):
        self.traces, self.job = traces, job
        self.stopped = ''
        self._warn_at = time.monotonic() + 60 * minutes - _EARLY_S
        self._process: subprocess.Popen | None = None

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Pass on SIGTERM."""
        self.stopped = 'time' if time.monotonic() > self._warn_at else 'cancelled'
        if self._process is not None:
            self._process.send_signal(number)

    def run(self, name: str, command: Sequence[str]) -> int:
        """Run the command for one person; return its exit code."""
        deadline = time.monotonic() + _WAIT_S
        while not self.stopped:
            try:
                with Recorder(self.traces, name) as trace:
                    return self._run(trace, [part.replace(NAME, name) for part in command])
            except Busy:
                if time.monotonic() > deadline:
                    sys.stderr.write(
                        f'{name} is being processed by another job.\n'
                        'Two at once would overwrite each other, so this one leaves it alone.\n'
                        'Look with --status at what runs; cancel one of them if it hangs.\n'
                    )
                    return BUSY
                time.sleep(1)
        return 128 + signal.SIGTERM

    def _run(self, trace: Recorder, command: list[str]) -> int:
        killed = oom_kills()
        trace.write({'event': 'start', 'job': self.job, 'host': socket.gethostname()})
        self._process = subprocess.Popen(command, pass_fds=(trace.fileno(),))
        if self.stopped:  # asked while the program was being started
            self._process.send_signal(signal.SIGTERM)
        code = self._process.wait()
        self._process = None
        trace.write(
            {
                'event': 'end',
                'job': self.job,
                'exit_code': code,
                'memory': oom_kills() > killed,
                'stopped': self.stopped,
            }
        )
        return code if code >= 0 else 128 - code


def oom_kills(root: Path = Path('/')) -> int:
    """Return how many processes of this job the system has killed for memory so far."""
    found = cgroups.folders('memory', root)
    # not those above the job: they count the jobs of others as well
    own = [f for f in found if any(part.startswith('job_') for part in f.parts)]
    most = 0
    for folder in own or found[-1:]:
        for name in ('memory.oom_control', 'memory.events'):
            for line in cgroups.read(folder / name).splitlines():
                words = line.split()
                if len(words) == 2 and words[0] == 'oom_kill':
                    most = max(most, int(words[1]))
    return most


def main(argv: Sequence[str] | None = None) -> int:
    """Run one element; return the worst exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument('list', type=Path, help='one line per element, names with blanks between')
    parser.add_argument('number', type=int, help='line of this element, from 1')
    parser.add_argument('--traces', type=Path, required=True, help='folder of the traces')
    parser.add_argument('--job', required=True, help='number of the job, for the trace')
    parser.add_argument('--minutes', type=float, required=True, help='time limit of the job')
    parser.add_argument('command', nargs='+', help='what to run, {name} being the person')
    args = parser.parse_args(argv)
    try:
        names = args.list.read_text(encoding='utf-8').splitlines()[args.number - 1].split()
    except (OSError, IndexError) as error:
        sys.stderr.write(
            f'{args.list} cannot be read on {socket.gethostname()}: {error}\n'
            'It says who is to be processed; every node must see the work folder.\n'
            'Choose a --work-dir on a file system that all nodes share.\n'
        )
        return 2
    element = Element(args.traces, args.job, args.minutes)
    signal.signal(signal.SIGTERM, element.stop)
    codes = []
    for name in names:
        if element.stopped:
            break
        sys.stdout.write(f'--- {name}, job {args.job} on {socket.gethostname()}\n')
        sys.stdout.flush()
        codes.append(element.run(name, args.command))
    return 128 + signal.SIGTERM if element.stopped else max(codes)


if __name__ == '__main__':
    sys.exit(main())
