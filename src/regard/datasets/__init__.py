"""Files of data sets: what they hold, read and written in their own formats."""
