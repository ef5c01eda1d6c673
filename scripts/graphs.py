#!/usr/bin/env python3
"""Write the ONNX graphs of the shipped one-step weights anew, as after any change of the weights."""

from reddit.checkpoint.shipped import shipped
from reddit.inference.graph_beside import write_graph

for name in ("light-1",):
    print(write_graph(shipped()[name]))
