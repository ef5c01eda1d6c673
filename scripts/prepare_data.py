#!/usr/bin/env python3
from reddit.cli.main import script

script("data")
