// Holds a Node process that was started ahead until the event of its hook comes (warm/node.py).
//
// `node -r node_spare.cjs script arguments` gets this far before Node looks at the script: everything that the
// script is, reads and imports belongs to the event. What is left of us is undone before we return.
'use strict';
const fs = require('fs');
const {openSync, readSync, writeSync, readlinkSync, readdirSync, fstatSync, closeSync} = fs; // a hook may replace them
const CONTROL = 200;
const HEAD = 4;
const OPEN = '/proc/self/fd';

const at = process.execArgv.indexOf(__filename);
if (at > 0) process.execArgv.splice(at - 1, 2);
// Node runs preloads in worker threads, too: those belong to a hook that runs already.
if (require('worker_threads').isMainThread) {
  const nodes = openNow();
  const event = awaited();
  if (event === null) process.reallyExit(0);
  process.chdir(event.cwd);
  for (const name of event.unset) delete process.env[name];
  for (const name of Object.keys(event.set)) process.env[name] = event.set[name];
  if (event.end) reportEnd(event, nodes, require.cache);
}
delete require.cache[__filename];

// Return the event, or null when the one who started us is gone or needs us no more.
function awaited() {
  try {
    writeSync(CONTROL, '!');
    const head = exactly(HEAD);
    const body = head && exactly(head.readUInt32BE(0));
    if (body) writeSync(CONTROL, '.'); // from here on the event is the program's
    closeSync(CONTROL);
    return body && JSON.parse(body.toString());
  } catch {
    return null;
  }
}

// Report that the program has ended with 0, before Node takes itself apart (two thirds of what is left to do),
// and let it do that when the event's answer is out: our side closes its end of `hold` then, or is gone.
//
// Node looks up process.emit to emit 'exit'. With no listener for it, nothing of the program runs after that;
// with one, or where a program replaced what comes next, closed what Node itself has open, or loaded an addon,
// our side waits for the process itself. An uncaught error has set exitCode by then. The getter hands out
// Node's own function, so no stack is any deeper.
function reportEnd({end, hold}, nodes, modules) {
  const {reallyExit, emit} = process;
  const hasEnded = () =>
    process._exiting && !process.exitCode && process.listenerCount('exit') === 0 &&
    process.reallyExit === reallyExit && !Object.keys(modules).some((name) => name.endsWith('.node')) && nodes.every(isOpen);
  Object.defineProperty(process, 'emit', {
    configurable: true,
    enumerable: false,
    get() {
      if (hasEnded()) report(end, hold);
      return emit;
    },
    set(value) {
      Object.defineProperty(process, 'emit', {configurable: true, enumerable: true, writable: true, value});
    },
  });
}

function openNow() {
  try {
    return readdirSync(OPEN).filter((name) => Number(name) > 2 && Number(name) !== CONTROL && isOpen(name));
  } catch {
    return [];
  }
}

function isOpen(name) {
  try {
    return Boolean(fstatSync(Number(name)));
  } catch {
    return false;
  }
}

function report(end, hold) {
  try {
    const held = opened(hold, 'r');
    writeSync(opened(end, 'w'), '.');
    readSync(held, Buffer.alloc(1), 0, 1, null);
  } catch {
    return; // no one waits any more
  }
}

function opened([path, pipe], how) {
  if (readlinkSync(path) !== pipe) throw new Error('it is closed');
  return openSync(path, how);
}

function exactly(size) {
  const data = Buffer.alloc(size);
  for (let had = 0; had < size; ) {
    const more = readSync(CONTROL, data, had, size - had, null);
    if (more === 0) return null;
    had += more;
  }
  return data;
}
