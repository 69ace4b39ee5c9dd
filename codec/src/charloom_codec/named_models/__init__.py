"""Models that are part of the package, by name: each has a folder with the files for compression."""
