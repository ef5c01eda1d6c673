"""A GPU that is not there: PyTorch believes in one device, whose tensors have a shape, a type and no data."""
