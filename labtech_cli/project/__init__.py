"""A user's project: its configuration and the targets in its modules."""
