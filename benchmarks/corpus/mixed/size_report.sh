#!/bin/sh
# Count the bytes of the event and append them to a log.
bytes=$(wc -c)
mkdir -p "$CLAUDE_PROJECT_DIR/.claude/state"
echo "$bytes" >> "$CLAUDE_PROJECT_DIR/.claude/state/sizes.txt"
