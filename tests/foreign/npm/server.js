// SPDX-License-Identifier: Apache-2.0
// A management server on npm's ws, for behind a TLS proxy: greets, hands out settings, acknowledges everything else, tells
// what it hears as lines of JSON.
'use strict';
const { createHash } = require('node:crypto');
const { WebSocketServer } = require('ws');

const tell = (event, more) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const settings = { version: 7, digest: 'strange', settings: { 'userinterface.language': 'de' } };
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  handleProtocols: (offered) => offered.values().next().value,
});

server.on('listening', () => tell('listening', { port: server.address().port }));
server.on('connection', (socket, request) => {
  const session = createHash('sha256').update(request.headers['sec-websocket-key']).digest('hex').slice(0, 8);
  tell('connection', { url: request.url, subject: request.headers['x-client-subject'], protocol: socket.protocol });
  socket.on('message', (data, isBinary) => {
    const message = JSON.parse(data.toString());
    tell('message', { message, isBinary });
    if (message.type === 'hello') {
      const welcome = { type: 'welcome', version: 1, server: 'stranger', session, pingSeconds: 60, maxMessageBytes: 65536 };
      socket.send(JSON.stringify({ ...welcome, comment: 'a member that is not known' }));
    } else if (message.type === 'pullsettings' && message.digest !== settings.digest) {
      socket.send(JSON.stringify({ type: 'settings', id: 1, re: message.id, ...settings }));
    } else if (message.id) {
      socket.send(JSON.stringify({ type: 'ack', re: message.id }));
    }
  });
  socket.on('close', (code) => tell('close', { code }));
});
