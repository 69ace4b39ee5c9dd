"""Training: truncated back-propagation through time, its events and its history."""
