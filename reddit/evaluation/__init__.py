"""Scoring models and other programs' pictures, and showing the scores."""
