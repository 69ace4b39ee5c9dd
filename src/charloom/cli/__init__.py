"""The command line: screens over the library, no logic. Modules here import PyTorch only when a command runs."""
