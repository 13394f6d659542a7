// Publish one message: node publish.mjs ws://127.0.0.1:8000/ws app:lobby KEY "hello"
import { Client } from "@tidewire/client";

const [url, room, key, text] = process.argv.slice(2);
const headers = { authorization: `Bearer ${key}` };
const openSocket = (address, protocols) => new WebSocket(address, { protocols, headers });
const client = new Client(url, { openSocket }).start();
const { epoch, offset } = await client.publish(room, { text });
console.log(epoch, offset);
client.close();
