// Holds a Node process that was started ahead until the event of its hook comes (warm/node.py).
//
// `node -r node_spare.cjs script arguments` gets this far before Node looks at the script: everything that the
// script is, reads and imports belongs to the event. What is left of us is undone before we return.
'use strict';
const fs = require('fs');
const CONTROL = 200;
const HEAD = 4;

const at = process.execArgv.indexOf(__filename);
if (at > 0) process.execArgv.splice(at - 1, 2);
// Node runs preloads in worker threads, too: those belong to a hook that runs already.
if (require('worker_threads').isMainThread) {
  const event = awaited();
  if (event === null) process.reallyExit(0);
  process.chdir(event.cwd);
  for (const name of event.unset) delete process.env[name];
  for (const name of Object.keys(event.set)) process.env[name] = event.set[name];
}
delete require.cache[__filename];

// Return the event, or null when the one who started us is gone or needs us no more.
function awaited() {
  try {
    fs.writeSync(CONTROL, '!');
    const head = exactly(HEAD);
    const body = head && exactly(head.readUInt32BE(0));
    fs.closeSync(CONTROL);
    return body && JSON.parse(body.toString());
  } catch {
    return null;
  }
}

function exactly(size) {
  const data = Buffer.alloc(size);
  for (let had = 0; had < size; ) {
    const more = fs.readSync(CONTROL, data, had, size - had, null);
    if (more === 0) return null;
    had += more;
  }
  return data;
}
