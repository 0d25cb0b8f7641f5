"""Nipype graphs of one acquisition, one participant and the run."""
