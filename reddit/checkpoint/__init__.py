"""Checkpoints: the file format, finding models by name, building networks."""
