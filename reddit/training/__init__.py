"""Training: the loop, runs and their folders, distillation chains, several processes."""
