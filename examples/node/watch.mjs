// Print a room's messages, across reconnects: node watch.mjs ws://127.0.0.1:8000/ws app:lobby KEY
import { Client } from "@tidewire/client";

const [url, room, key] = process.argv.slice(2);
const headers = { authorization: `Bearer ${key}` };
const openSocket = (address, protocols) => new WebSocket(address, { protocols, headers });
const client = new Client(url, { openSocket }).start();
for await (const event of client.subscribe(room)) {
  console.log(event.event === "reset" ? "LOST" : JSON.stringify(event));
}
