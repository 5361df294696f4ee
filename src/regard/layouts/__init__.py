"""Which layout the tokens of known architectures have: a table, and who reads it.

- `lay_out`: gives every call of a recording its layouts.
- `table`: the recipe of each architecture.
- `grids`, `windows`, `pyramids`, `video`, `latents`, `sequences`, `keypoints`, `regions`, `ragged`:
  the recipes.
- `placeholders`: pictures among the words of a prompt; `images`, `any_resolution`: their tokens.
- `scene`: what a recipe may look at.
- `orders`: orders in which models keep the cells of a grid.
- `watch`: what must be noted while a model runs, because it cannot be told afterwards.
"""
