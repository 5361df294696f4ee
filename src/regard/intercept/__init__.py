"""How attention calls are caught while a model runs, one mechanism a file."""
