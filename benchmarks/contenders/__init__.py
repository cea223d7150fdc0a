"""One program a contender: the same task, as the documentation of each library would solve it.

Each runs alone: ``python -m benchmarks.contenders.plain_pytorch --data DIR --epochs 1``.
"""
