"""Pieces of reports: pages and tables."""
