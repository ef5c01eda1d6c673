"""The paper's comparisons and ablations: what is claimed, what is run, and what the numbers allow to say."""
