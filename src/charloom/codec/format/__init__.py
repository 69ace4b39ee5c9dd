"""The compressed file: header, segments, blocks; any bytes, read and written in bounded memory."""
