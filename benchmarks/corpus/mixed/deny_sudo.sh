#!/bin/sh
# Refuse sudo, with nothing but a shell.
if grep -q '"command": *"sudo '; then
  echo "sudo is not for agents" >&2
  exit 2
fi
