"""The domain: specs, jobs, their logs and the rules between them.

It imports the standard library, NumPy and itself; what it needs of the outside it declares as protocols,
which `stores`, `executors` and `rpc` implement.
"""
