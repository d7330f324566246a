// The public document's own example, word for word between the two marks, as a program that really runs.
// Settings: WEBHOOK_SECRET, EXPRESS_PACKAGE (express or express-4). Its first line of output is the port.
const express = require(process.env.EXPRESS_PACKAGE || 'express');

const app = express();
app.use(express.json());

// ---- the document's example begins
const crypto = require('crypto');

function verifyWebhookSignature(payload, signature, secret) {
  const hmac = crypto.createHmac('sha256', secret);
  const expectedSignature = hmac.update(payload).digest('hex');
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature)
  );
}

// In your webhook handler
app.post('/webhook', (req, res) => {
  const signature = req.headers['x-whatsync-signature'];
  const payload = JSON.stringify(req.body);
  
  if (!verifyWebhookSignature(payload, signature, process.env.WEBHOOK_SECRET)) {
    return res.status(401).send('Invalid signature');
  }
  
  // Process the webhook
  console.log('Received valid webhook:', req.body);
  res.status(200).send('OK');
});
// ---- the document's example ends

const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
