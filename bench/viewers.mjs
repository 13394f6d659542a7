// Watching admins: official socket.io-clients with batch on, told by lines of JSON on stdin, answering on stdout.
// argv[2]: the directory whose node_modules holds socket.io-client.
//   {"op":"open","count":10,"url":...,"cookie":...} -> {"open":10}   when all have joined and set their options
//   {"op":"start"}                                 -> {"started":true}   forget what was measured so far
//   {"op":"stop"}                                  -> {"latencies_ms":[...],"ticks":n,"dropped":n,"batches":n}
//   {"op":"close"}                                 -> {"open":0}
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const { io } = require("socket.io-client");
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
let sockets = [];
let measured = null;

function receive(batch, first) {
  const now = Date.now();
  if (measured === null) return;
  measured.batches += 1;
  measured.ticks += batch.ticks.length;
  measured.dropped += batch.dropped;
  // One viewer's latencies stand for all; the others are counted only.
  if (first) for (const tick of batch.ticks) measured.latencies_ms.push(now - tick.published * 1000);
}

function open(url, cookie, first) {
  return new Promise((resolve, reject) => {
    const socket = io(`${url}/admin-ws`, {
      transports: ["websocket"],
      extraHeaders: { Cookie: cookie, Origin: url },
      reconnection: false,
      forceNew: true,
    });
    socket.on("tick_batch", (batch) => receive(batch, first));
    socket.on("connect_error", (error) => reject(new Error(error.message)));
    socket.on("connect", () => socket.emit("set_options", { batch: true }, () => resolve(socket)));
  });
}

const commands = {
  async open({ count, url, cookie }) {
    sockets = await Promise.all(Array.from({ length: count }, (_, index) => open(url, cookie, index === 0)));
    say({ open: sockets.length });
  },
  start() {
    measured = { latencies_ms: [], ticks: 0, dropped: 0, batches: 0 };
    say({ started: true });
  },
  stop() {
    const found = measured;
    measured = null;
    say(found);
  },
  close() {
    for (const socket of sockets) socket.disconnect();
    sockets = [];
    say({ open: 0 });
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.op](command);
});
