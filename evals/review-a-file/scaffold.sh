#!/bin/sh
# One file with one planted defect: a shell command made of what a user sent.
set -eu
printf 'import os\nfrom flask import request\n\n\ndef ping():\n    os.system("ping " + request.args["host"])\n' > app.py
