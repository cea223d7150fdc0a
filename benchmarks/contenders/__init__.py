"""One program per contender: the same task, solved as in the documentation of each library.

Each can be run alone: ``python -m benchmarks.contenders.plain_pytorch --data DIR --epochs 1``.
"""
