"""How the nodes are: figures, checks and their history, per node and in total, for pages and rules.

It must not know where figures come from beyond the registry that ``/metrics`` serves.
"""
