"""The pure heart: tasks, keys, graphs, plans, schedules and events. Nothing here touches the world."""
