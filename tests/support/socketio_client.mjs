// The official socket.io-client as a witness, driven line by line: JSON commands on stdin, JSON happenings on stdout.
// argv[2]: the directory whose node_modules holds socket.io-client.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const { io } = require("socket.io-client");
const say = (happening) => process.stdout.write(`${JSON.stringify(happening)}\n`);
let socket;

const commands = {
  connect({ url, headers, transports }) {
    socket = io(url, { transports, extraHeaders: headers, reconnection: false, forceNew: true });
    socket.on("connect", () => {
      say({ kind: "connect", recovered: socket.recovered });
      // As a page does it: handlers are set up here, so an event that came before CONNECT would be missed.
      socket.onAny((event, data) => say({ kind: "event", event, data }));
    });
    socket.on("connect_error", (error) => {
      say({ kind: "connect_error", message: error.message, data: error.data ?? null, active: socket.active });
    });
    socket.on("disconnect", (reason) => say({ kind: "disconnect", reason }));
    socket.io.engine?.on("close", (reason) => say({ kind: "engine_close", reason }));
  },
  emit({ number, event, args }) {
    socket.emit(event, ...args, (data) => say({ kind: "ack", number, data }));
  },
  binary() {
    socket.emit("request_metrics", new Uint8Array([1, 2, 3]));
  },
  quit() {
    socket?.disconnect();
    process.exit(0);
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.op](command);
});
say({ kind: "ready", version: require("socket.io-client/package.json").version });
