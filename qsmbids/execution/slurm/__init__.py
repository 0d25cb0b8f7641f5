"""Many people on a Slurm cluster: job arrays, their scripts, their states.

::

    <work>/slurm/submissions.json     every job that was submitted, for whom, with what
    <work>/slurm/001/job.sh           what was submitted, as it was
    <work>/slurm/001/participants.txt one line per array element
    <work>/slurm/001/log-1.txt        what the element said
    <work>/slurm/trace/sub-01.jsonl   when and where the person was begun, how it ended
    <work>/sub-01/                    work folder of one person, never shared

Nothing here knows what is computed; commands and names come from the caller.
"""
