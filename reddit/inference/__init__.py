"""Enhancing pictures with a trained model, in memory and on disk, and exporting models."""
