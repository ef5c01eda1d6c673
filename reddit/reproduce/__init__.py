"""The paper's comparisons and ablations: claims, runs, statistics and verdicts."""
