"""Starts the server from a bare checkout; see launch.py. Standard library only, readable by Python 3.8."""
