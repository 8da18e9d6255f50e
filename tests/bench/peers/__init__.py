"""The workloads on other runners: one script each, `with_NAME.py WORKLOAD SIZE`, run by the Python of the peers."""
