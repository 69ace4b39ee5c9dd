"""Format of compressed files: header, segments and blocks, read and written in bounded memory."""
