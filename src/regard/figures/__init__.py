"""Pictures and films of what a run recorded, one kind a file."""
