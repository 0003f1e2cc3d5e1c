"""`python -m zoo`: see zoo/shell.py."""

from zoo.shell import main

if __name__ == "__main__":
    main()
