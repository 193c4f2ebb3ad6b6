"""Runs programs one after another in the seats of an interpreter that a process like the cold one has forked.

    python -I -S forked.py PACKAGE < told

`told` is JSON: key, facts, modules, env, cwd, stdin, programs: [[exe, script, argv, limit]].

Prints [place, exit, stdout, stderr, timed out] of each, or null when the fork did not serve.
"""

import json
import os
import sys

sys.path.insert(0, sys.argv[1])

from fanout_hooks.learn.memory import Memory
from fanout_hooks.run.loop import Loop, memory_file, write_all
from fanout_hooks.warm import ahead  # found by the line above
from fanout_hooks.warm.command import Program
from fanout_hooks.warm.interpreter import HookInput, Interpreter, Ran, Task


def main() -> None:
    told = json.load(sys.stdin)
    known = Memory("/nowhere")
    known.note_start(tuple(told["key"]), told["facts"])
    known.note_modules(told["key"][0], set(told["modules"]))
    forked = ahead.fork(known, told["env"])
    assert forked is not None, "it is not ours to fork"
    loop = Loop()
    interpreter = Interpreter(loop)
    interpreter.take_over(forked, told["modules"])
    stdin = memory_file("stdin")
    write_all(stdin, told["stdin"].encode())
    tasks = [
        Task(place, Program(exe, "", script, tuple(argv)), limit)
        for place, (exe, script, argv, limit) in enumerate(told["programs"])
    ]
    rows: list[list[object]] = []

    def tell(ran: Ran) -> None:
        texts = [data.decode("utf-8", "replace") for data in (ran.stdout, ran.stderr)]
        rows.append([ran.place, ran.exit, *texts, ran.timed_out])

    hook_input = HookInput(stdin, told["env"], told["cwd"])
    served = loop.run(interpreter.run(tasks, hook_input, tell, alone=False))
    json.dump(rows if served else None, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


main()
