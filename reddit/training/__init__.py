"""Training: the loop, runs and their folders, chains of distillation, several processes."""
