"""``python -m lenetscope``."""

from lenetscope.cli import main

if __name__ == "__main__":
    main()
