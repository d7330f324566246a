// node echo.js: answers each text message with the same words, through Meta's API. Needs Node.js 18 or newer only.
const { createHmac, timingSafeEqual } = require('node:crypto');
const { createServer } = require('node:http');

const { WEBHOOK_SECRET, ACCESS_TOKEN, GRAPH_URL = 'https://graph.facebook.com/v25.0' } = process.env;
if (!WEBHOOK_SECRET || !ACCESS_TOKEN) throw new Error('set WEBHOOK_SECRET and ACCESS_TOKEN');
const seen = new Set(); // in production a table with a unique column, so that it outlives a restart

function isGenuine(body, signature) {
  const expected = Buffer.from(createHmac('sha256', WEBHOOK_SECRET).update(body).digest('hex'));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

async function answer(number, to, text) {
  const sent = await fetch(`${GRAPH_URL}/${number}/messages`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${ACCESS_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ messaging_product: 'whatsapp', to, type: 'text', text: { body: text } }),
  });
  if (!sent.ok) console.error('Meta refused:', sent.status, await sent.text());
}

createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part)).on('end', () => {
    const body = Buffer.concat(parts);
    if (!isGenuine(body, request.headers['x-whatsync-signature'] ?? '')) return response.writeHead(401).end();
    response.writeHead(200).end('OK');
    const { event, id, data } = JSON.parse(body);
    if (event !== 'message.incoming' || data.text === null || seen.has(id)) return;
    seen.add(id);
    answer(request.headers['x-whatssync-number'], data.from, data.text);
  });
}).listen(process.env.PORT ?? 3000, '127.0.0.1');
