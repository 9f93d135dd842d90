"""What the benchmarks share: a server to measure, runs that alternate, and the row that tells the outcome."""
