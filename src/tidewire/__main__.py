"""Lets ``python -m tidewire`` do what ``tidewire`` does. It must not do anything else."""

from tidewire.cli import main

if __name__ == "__main__":
    main()
