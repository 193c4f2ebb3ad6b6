"""`python -P -m fanout_mcp`: the command `fanout`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command; `fanout serve` answers its client before anything slow is imported (edge/first.py)."""
    words = sys.argv[1:]
    if words[:1] == ["serve"] and words[1:2] in ([], ["--begun"]):
        if not sys.flags.isolated:
            from fanout_mcp.standard import keep_standard

            keep_standard()
        from fanout_mcp.edge.first import First, passed_on, taken_over
        from fanout_mcp.edge.loading import TICK_S, Loading

        first = First()
        if words[1:]:
            first.take(taken_over(int(words[2])))
        words = ["serve", *passed_on(first.serve(Loading(), TICK_S))]
    from fanout_mcp.cli import main as command

    return command(words)


if __name__ == "__main__":
    sys.exit(main())
