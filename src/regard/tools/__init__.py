"""Drop-in replacements for older tools, thin over the core."""
