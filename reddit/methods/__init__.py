"""Methods: each owns the network it trains and answers a batch with its losses."""

from reddit.methods.method import Method
from reddit.methods.reddit import ReDDiT
from reddit.methods.teacher import Teacher

__all__ = ["Method", "ReDDiT", "Teacher"]
