"""What each word of a caption looks at: from a photo to its pictures."""
