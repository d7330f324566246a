// A receiver that leaves verifying to the official Standard Webhooks library, over the raw body.
// Setting: WEBHOOK_SECRET. Its first line of output is the port, each further one a verified event as JSON.
const express = require('express');
const { Webhook } = require('standardwebhooks');

const app = express();
const webhook = new Webhook(process.env.WEBHOOK_SECRET);

app.post('/webhook', express.raw({ type: 'application/json' }), (req, res) => {
  let event;
  try {
    event = webhook.verify(req.body.toString('utf8'), req.headers);
  } catch (error) {
    return res.status(401).send(error.message);
  }
  console.log(JSON.stringify(event));
  res.status(200).send('OK');
});

const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
