"""Methods: each owns the network it trains and answers a batch with its losses."""

from reddit.methods.method import Draws, Method
from reddit.methods.reddit import ReDDiT
from reddit.methods.teacher import Teacher

__all__ = ["Draws", "Method", "ReDDiT", "Teacher"]
