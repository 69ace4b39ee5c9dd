"""Files: written atomically, locked, read from anywhere; pictures."""
