"""The part of Meta's Graph API about apps, tokens and business accounts, for the stand-in server: it keeps what is set
and calls the callback's challenge as Meta does."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

OBJECT = "whatsapp_business_account"


@dataclass
class App:
    """One app at Meta, a token for it, and business accounts with their numbers."""

    id: str
    secret: str
    token: str
    businesses: dict[str, list[dict[str, str]]]
    callback: str | None = None
    fields: list[str] = field(default_factory=list)
    subscribed: set[str] = field(default_factory=set)
    overrides: dict[str, str] = field(default_factory=dict)
    """Where business accounts, and numbers, lead what comes for them."""
    valid: bool = True
    scopes: list[str] = field(default_factory=lambda: ["whatsapp_business_messaging", "whatsapp_business_management"])
    expires_at: int = 0
    reach: str | None = None
    """Where the callback's challenge really goes, in place of its public address."""

    def routes(self) -> list[BaseRoute]:
        """For ``GraphServer``."""
        return [
            Route("/{version}/debug_token", self._debug),
            Route("/{version}/{id}/subscriptions", self._subscriptions, methods=["GET", "POST"]),
            Route("/{version}/{id}/subscribed_apps", self._subscribed, methods=["GET", "POST"]),
            Route("/{version}/{id}/phone_numbers", self._numbers),
        ]

    def _refusal(self, request: Request, *tokens: str) -> JSONResponse | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given in tokens:
            return None
        return JSONResponse({"error": {"message": "Invalid OAuth access token.", "code": 190}}, 401)

    @property
    def _app_token(self) -> str:
        return f"{self.id}|{self.secret}"

    async def _debug(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request, self._app_token)) is not None:
            return refusal
        scope = {"scope": "whatsapp_business_management", "target_ids": list(self.businesses)}
        data = {"app_id": self.id, "is_valid": self.valid and request.query_params["input_token"] == self.token}
        data |= {"scopes": self.scopes, "expires_at": self.expires_at, "granular_scopes": [scope]}
        return JSONResponse({"data": data})

    async def _subscriptions(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request, self._app_token)) is not None:
            return refusal
        if request.method == "POST":
            form = dict((await request.form()).items())
            if not await self._challenged(str(form["callback_url"]), str(form["verify_token"])):
                return JSONResponse({"error": {"message": "The URL couldn't be validated.", "code": 2200}}, 400)
            self.callback, self.fields = str(form["callback_url"]), str(form["fields"]).split(",")
            return JSONResponse({"success": True})
        if self.callback is None:
            return JSONResponse({"data": []})
        fields = [{"name": name, "version": "v25.0"} for name in self.fields]
        return JSONResponse({"data": [{"object": OBJECT, "callback_url": self.callback, "fields": fields}]})

    async def _challenged(self, url: str, token: str) -> bool:
        path = url.split("/", 3)[3]
        asked = {"hub.mode": "subscribe", "hub.challenge": "8231", "hub.verify_token": token}
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.reach}/{path}", params=asked)
        return answer.status_code == 200 and answer.text == "8231"

    async def _subscribed(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request, self.token)) is not None:
            return refusal
        business = request.path_params["id"]
        if request.method == "POST":
            form = dict((await request.form()).items())
            self.overrides.pop(business, None)
            if (url := form.get("override_callback_uri")) is not None:
                if not await self._challenged(str(url), str(form["verify_token"])):
                    return JSONResponse({"error": {"message": "The URL couldn't be validated.", "code": 2200}}, 400)
                self.overrides[business] = str(url)
            self.subscribed.add(business)
            return JSONResponse({"success": True})
        entry: dict[str, Any] = {"whatsapp_business_api_data": {"id": self.id, "name": "App"}}
        if business in self.overrides:
            entry["override_callback_uri"] = self.overrides[business]
        return JSONResponse({"data": [entry] if business in self.subscribed else []})

    async def _numbers(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request, self.token)) is not None:
            return refusal
        listed: list[dict[str, Any]] = [
            {**one, "webhook_configuration": {"phone_number": self.overrides[one["id"]]}}
            if one["id"] in self.overrides and "webhook_configuration" in request.query_params.get("fields", "")
            else dict(one)
            for one in self.businesses.get(request.path_params["id"], [])
        ]
        at = int(request.query_params.get("after", "0"))
        page: dict[str, Any] = {"data": listed[at : at + 1]}
        if at + 1 < len(listed):
            page["paging"] = {"cursors": {"after": str(at + 1)}, "next": "https://graph.example/next"}
        return JSONResponse(page)
