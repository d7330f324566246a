// Express: verifies each webhook, handles each id once, answers at once and works afterwards.
const { createHmac, timingSafeEqual } = require('node:crypto');
const express = require('express');

const secret = process.env.WEBHOOK_SECRET;
if (!secret) throw new Error('Set WEBHOOK_SECRET to the signing secret, whsec_...');

const app = express();
const seen = new Set(); // In production a table with a unique column, so that it outlives a restart.

// express.raw keeps the bytes as they came. Place this route before any app.use(express.json()).
app.post('/webhook', express.raw({ type: '*/*', limit: '1mb' }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : ''; // Nothing was sent.
  const expected = createHmac('sha256', secret).update(body).digest();
  const signature = Buffer.from(req.get('X-WhatsSync-Signature') ?? '', 'hex');
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
    return res.status(401).send('Invalid signature');
  }
  const event = JSON.parse(body);
  res.send('OK');
  if (seen.has(event.id)) return;
  seen.add(event.id);
  handle(event);
});

function handle(event) {
  console.log(event.event, event.id, event.data);
}

app.listen(3000, '127.0.0.1');
