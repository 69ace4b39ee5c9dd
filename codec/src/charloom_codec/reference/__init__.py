"""Reference implementation of the engines in plain Python, which specifies the native code and does not use it."""
