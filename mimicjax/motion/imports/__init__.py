"""Motions of other projects, read by what is in a file and not by its name, and turned into clips of ours (docs/motions.md)."""
