"""The page of interactive docs: Swagger UI, from files of this installation alone."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse, Response

from stepwell.deployments.access.http_errors import HttpError

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stepwell: published pipelines</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<style>
form#token { padding: 10px 20px; background: #f0f2f5; font: 15px sans-serif; display: flex; gap: 10px; align-items: center }
form#token[hidden] { display: none }
body { margin: 0 }
.swagger-ui .scheme-container { display: none }
.swagger-ui .info { margin: 18px 0 }
form#token input { flex: 1; max-width: 34em; padding: 6px }
main#welcome { margin: 40px auto; max-width: 40em; padding: 0 20px; font: 16px/1.5 sans-serif; color: #3b4151 }
main#welcome[hidden] { display: none }
main#welcome code { background: #f0f2f5; padding: 2px 5px }
</style>
</head>
<body>
<form id="token" autocomplete="off" hidden>
<label for="secret">Token</label>
<input id="secret" type="password" placeholder="stw_…, from `stepwell token create`">
<button>Use it</button>
<span id="trouble"></span>
</form>
<main id="welcome">
<h1>Published pipelines</h1>
<p>This page lists the pipelines that can be called here, with their parameters, and calls them. To see them it needs a token, as every call does.</p>
<p>Make one on the machine that serves: <code>stepwell token create WHOSE</code> prints it, once. Enter it above; it is kept by this page alone, until it is
closed.</p>
<noscript><p>The list needs JavaScript. Without it, ask <code>openapi.json</code> beside this page, with the header
<code>Authorization: Bearer TOKEN</code>.</p></noscript>
</main>
<div id="pipelines"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
_SCRIPT = """"use strict";
let token = "";
const form = document.getElementById("token");
async function show() {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const answer = await fetch("openapi.json", { headers });
  if (answer.ok) {
    form.hidden = !token;
    document.getElementById("welcome").hidden = true;
    document.getElementById("trouble").textContent = "";
    const { security, ...spec } = await answer.json();
    delete spec.components.securitySchemes; // the form above does it
    spec.servers = [{ url: new URL(".", location.href).href.replace(/\\/$/, "") }];
    SwaggerUIBundle({
      dom_id: "#pipelines",
      spec,
      presets: [SwaggerUIBundle.presets.apis],
      deepLinking: true,
      tryItOutEnabled: true,
      defaultModelsExpandDepth: -1,
      defaultModelRendering: "model",
      validatorUrl: null,
      requestInterceptor: (request) => {
        if (token) request.headers.Authorization = "Bearer " + token;
        return request;
      },
    });
    return;
  }
  form.hidden = false;
  document.getElementById("trouble").textContent = token ? (await answer.json()).error.message : "";
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  token = document.getElementById("secret").value.trim();
  show();
});
show();
"""


def page() -> Response:
    """Return the page, which shows nothing yet that a token is needed for."""
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(_PAGE, headers=headers)


def asset(name: str) -> Response:
    """Return a file that the page consists of; raise HttpError with status 404 if there is none of that name."""
    headers = {"X-Content-Type-Options": "nosniff"}
    if name == "page.js":
        return Response(_SCRIPT, media_type="text/javascript", headers=headers)
    if name not in _ASSETS:
        raise HttpError(404, "NotFound", "There is no such file", "Look at /docs.")
    return FileResponse(
        _folder() / name, media_type=_ASSETS[name], headers={**headers, "Cache-Control": "max-age=86400"}
    )


@cache
def _folder() -> Path:
    vendor = Path(str(files("swagger_ui_bundle") / "vendor"))
    return next(path for path in sorted(vendor.iterdir(), reverse=True) if (path / "swagger-ui-bundle.js").is_file())
