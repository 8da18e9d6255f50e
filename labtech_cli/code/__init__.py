"""The code a result came from, compared by meaning: which symbols of the project a task type can reach.

`code.fingerprint` is the way in: `fingerprint(task_type)`, `changes(old, new)`, `to_json`, `from_json`,
`renamed`. Below it, `walk` follows names from the task type, `modules` says what a name means,
`table` what a module's top level makes, `writer` what a statement says once its layout is forgotten.
Nothing here imports or runs anything of the user's.
"""
