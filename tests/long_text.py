"""A text that tests keep encoded, as if it were long."""

LONG_TEXT = "It was the best of times,\n\n  it was the WORST of times. É \U0001f600\n" * 30
