// SPDX-License-Identifier: Apache-2.0
// A WebSocket client on npm's ws: opens one connection, does what lines of JSON on its input say, tells what happens as
// lines of JSON. Usage: node client.js '{"url": ..., "ca": FILE, "cert": FILE, "key": FILE, "protocols": [...]}'
'use strict';
const fs = require('node:fs');
const readline = require('node:readline');
const WebSocket = require('ws');

const tell = (event, more) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const options = JSON.parse(process.argv[2]);
const files = Object.fromEntries(
  ['ca', 'cert', 'key'].filter((name) => options[name]).map((name) => [name, fs.readFileSync(options[name])]),
);
const socket = new WebSocket(options.url, options.protocols || [], { ...files, minVersion: 'TLSv1.3' });

socket.on('open', () => tell('open', { protocol: socket.protocol, extensions: socket.extensions }));
socket.on('message', (data, isBinary) => tell('message', { text: data.toString(), isBinary }));
socket.on('ping', (data) => tell('ping', { data: data.toString() }));
socket.on('pong', (data) => tell('pong', { data: data.toString() }));
socket.on('close', (code, reason) => tell('close', { code, reason: reason.toString() }));
socket.on('error', (error) => tell('error', { message: error.message }));
socket.on('unexpected-response', (request, response) => {
  tell('refused', { status: response.statusCode, headers: response.headers });
  request.destroy();
});

const orders = {
  text: (text) => socket.send(text),
  binary: (text) => socket.send(Buffer.from(text)),
  fill: (size) => socket.send('x'.repeat(size)),
  fragments: (parts) => parts.forEach((part, at) => socket.send(part, { fin: at === parts.length - 1 })),
  ping: (data) => socket.ping(data),
  close: (code) => socket.close(code, 'goodbye'),
};
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line);
  orders[order.do](order.with);
});
