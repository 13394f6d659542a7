/** The TypeScript client under Node, told what to do by JSON lines on stdin; what happens comes as JSON lines on stdout. */
import { createInterface } from "node:readline";

import { Client } from "../../frontend/src/client/index.ts";
import { standardHost } from "../../frontend/src/client/host.ts";

const [url, text] = process.argv.slice(2);
const { token, origin, cookie, subprotocols, speed = 20, maxQueue = 100 } = JSON.parse(text);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const real = standardHost();
const headers = { ...(origin ? { origin } : {}), ...(cookie ? { cookie } : {}) };
// The same clock as Python's time.monotonic() on this machine, so that both can be compared.
const monotonic = () => Number(process.hrtime.bigint()) / 1e9;
const host = {
  ...real,
  now: () => real.now() * speed,
  setTimeout: (run, delayMs) => real.setTimeout(run, delayMs / speed),
  open: (address, protocols) => new WebSocket(address, { protocols, headers }),
};
let fetched = 0;
const client = new Client(url, {
  host,
  subprotocols,
  maxQueue,
  onLink: (link) => say({ link }),
  onNote: (kind, fields) => say({ note: kind, fields }),
  ...(token ? { fetchToken: async () => (say({ token: ++fetched }), token) } : {}),
});
const rooms = new Map();
const failed = (op) => (error) => say({ op, ok: false, kind: error.kind, code: error.code });

const commands = {
  subscribe({ room, since, presence }) {
    const handle = client.subscribe(room, {
      ...(since ? { since } : {}),
      presence: presence ?? false,
      onEvent: (event) => say({ room, event, at: monotonic() }),
      onEntered: (recovered) => say({ entered: room, recovered, position: handle.position }),
      onEnded: (error) => say({ ended: room, code: error?.code ?? null }),
    });
    rooms.set(room, handle);
  },
  leave: ({ room }) => rooms.get(room).leave(),
  members: ({ room }) => say({ members: [...rooms.get(room).members.values()], count: rooms.get(room).count }),
  publish({ op, room, data, opId }) {
    client.publish(room, data, { opId }).then((published) => say({ op, ok: true, published }), failed(op));
  },
  request: ({ op, message }) => client.request(message).then((data) => say({ op, ok: true, data }), failed(op)),
  close: () => client.close(),
};

client.start();
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on("close", () => client.close());
