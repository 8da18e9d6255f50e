"""Pictures of task types and how they depend on each other, for notebooks and documents."""

from __future__ import annotations

from labtech_cli.report.diagram import build_task_diagram, display_task_diagram

__all__ = ["build_task_diagram", "display_task_diagram"]
