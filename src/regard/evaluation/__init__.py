"""How good predictions are against ground truth."""
