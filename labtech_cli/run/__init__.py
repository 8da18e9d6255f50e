"""The imperative shell: the loop, the runners and the worker that calls `task.run()`."""
