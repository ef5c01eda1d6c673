"""Reports: self-contained HTML pages that show results, and the tables and charts in them.

Three commands write one: `evaluate --html` (the pictures of an evaluation), `report` (a family of runs) and
`reproduce` (a comparison of the paper). Each collects its own values; the templates here give them one look.
"""
