"""Readers of events and plans: they change nothing."""
