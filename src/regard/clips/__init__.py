"""What a video model sees in a clip, and where it looks: one call from the file to the pictures."""
