"""Benchmarks: labtech beside its peers, in the same run, as medians and ratios. Not collected by pytest."""
