"""Records: many short messages, each decoded without the others; one by one, or in a file with an index."""
