"""``python -m charloom``."""

from charloom.cli.app import main

if __name__ == "__main__":
    main()
