// Express, with the official Standard Webhooks library: it refuses requests that are older than five minutes, too.
const express = require('express');
const { Webhook } = require('standardwebhooks');

if (!process.env.WEBHOOK_SECRET) throw new Error('Set WEBHOOK_SECRET to the signing secret, whsec_...');
const verifier = new Webhook(process.env.WEBHOOK_SECRET);

const app = express();
const seen = new Set(); // In production a table with a unique column, so that it outlives a restart.

// express.raw keeps the bytes as they came. Place this route before any app.use(express.json()).
app.post('/webhook', express.raw({ type: '*/*', limit: '1mb' }), (req, res) => {
  let event;
  try {
    event = verifier.verify(req.body, req.headers);
  } catch {
    return res.status(401).send('Invalid signature');
  }
  res.send('OK');
  if (seen.has(event.id)) return;
  seen.add(event.id);
  handle(event);
});

function handle(event) {
  console.log(event.event, event.id, event.data);
}

app.listen(3000, '127.0.0.1');
