"""`labtech.logger`: the logger for messages of tasks."""

from __future__ import annotations

import logging

logger = logging.getLogger("labtech")
"""A standard logger. In a task its messages are shown with the task's name; INFO and above by default."""
if logger.level == logging.NOTSET:
    logger.setLevel(logging.INFO)
