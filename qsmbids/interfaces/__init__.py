"""Thin Nipype shells: load, call one function, save."""
