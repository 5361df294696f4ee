"""Which layout the tokens of known architectures have: a table, and who reads it.

- `lay_out`: gives every call of a recording its layouts.
- `table`: the recipe of each architecture.
- `grids`, `windows`, `video`, `sequences`, `keypoints`: the recipes.
- `scene`: what a recipe may look at.
- `orders`: orders in which models keep the cells of a grid.
- `watch`: what must be noted while a model runs, because it cannot be told afterwards.
"""
