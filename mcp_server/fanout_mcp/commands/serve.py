"""`fanout serve`: the MCP server over stdin and stdout."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none: a client starts it, settings come from the user's own files and the environment."""
    parser.epilog = "Register it with `fanout install`."


def run(_: argparse.Namespace) -> int:
    from fanout_mcp.process import main

    return main()
