"""FastAPI, with the official Standard Webhooks library: it refuses requests that are older than five minutes, too."""

import os

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from standardwebhooks import Webhook, WebhookVerificationError

SECRET = os.environ["WEBHOOK_SECRET"]
if not SECRET:
    raise SystemExit("Set WEBHOOK_SECRET to the signing secret, whsec_...")

app = FastAPI()
verifier = Webhook(SECRET)
seen = set()  # In production a table with a unique column, so that it outlives a restart.


@app.post("/webhook")
async def webhook(request: Request, tasks: BackgroundTasks):
    body = await request.body()  # The bytes as they came: never sign a re-made JSON text.
    try:
        event = verifier.verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError):  # ValueError: a signature that is no base64.
        raise HTTPException(401, "Invalid signature") from None
    if event["id"] not in seen:
        seen.add(event["id"])
        tasks.add_task(handle, event)
    return "OK"


def handle(event):
    print(event["event"], event["id"], event["data"], flush=True)
