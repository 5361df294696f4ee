"""What recorded attention says: pure functions, one idea a file."""
