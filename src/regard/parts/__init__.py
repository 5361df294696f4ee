"""The parts of a generated object, and which pixels shaped which part.

`generation` makes them, `attention` says what each looked at, `pictures` draws it, `surface` asks
the same of a point of the mesh, `files` writes all of it to a folder.
"""
