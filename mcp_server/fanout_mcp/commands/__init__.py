"""The shell commands, a file each; see cli.py."""
