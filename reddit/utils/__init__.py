"""Helpers for all rooms: errors, progress bars, text, timing, files, devices."""
