"""What every room uses: errors, progress bars, texts, timing, files, devices."""
