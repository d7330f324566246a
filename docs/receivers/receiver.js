// node receiver.js: verifies, handles each id once, answers 200 first and works afterwards. Needs Node.js only.
const { createHmac, timingSafeEqual } = require('node:crypto');
const { createServer } = require('node:http');

if (!process.env.WEBHOOK_SECRET) throw new Error('set WEBHOOK_SECRET to your signing secret');
const seen = new Set(); // in production a table with a unique column, so that it outlives a restart

function isGenuine(body, signature) {
  const expected = Buffer.from(createHmac('sha256', process.env.WEBHOOK_SECRET).update(body).digest('hex'));
  const given = Buffer.from(signature); // compare lengths in bytes: a letter may have several
  return given.length === expected.length && timingSafeEqual(given, expected);
}

createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part)).on('end', () => {
    const body = Buffer.concat(parts); // the bytes as they came: sign these, never a re-made JSON text
    if (!isGenuine(body, request.headers['x-whatsync-signature'] ?? '')) return response.writeHead(401).end();
    response.writeHead(200).end('OK');
    const event = JSON.parse(body);
    if (seen.has(event.id)) return;
    seen.add(event.id);
    console.log(event.event, event.data);
  });
}).listen(process.env.PORT ?? 3000, '127.0.0.1');
