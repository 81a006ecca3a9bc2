"""`stepwell serve`: everything that published pipelines need, on one machine; `stepwell worker`: one more machine."""

from __future__ import annotations

import typer

_HOST = typer.Option("127.0.0.1", "--host", help="Where the endpoint listens.")
_PORT = typer.Option(4280, "--port", min=1, max=65535, help="Where the endpoint listens.")
_PUBLIC = typer.Option("", "--public-url", help="The address that callers use, if it is another.", metavar="URL")
_PROXY = typer.Option(
    [], "--proxy", help="A proxy whose X-Forwarded-For tells who calls: an address or a network.", metavar="ADDRESS"
)
_OPEN = typer.Option(False, "--no-token", help="Let everybody on this machine call without a token.")
_WITHOUT = typer.Option(False, "--without-worker", help="Leave the runs to workers elsewhere.")
_LIMIT = typer.Option(
    None, "--limit", min=1, help="How many runs at once.", metavar="N", show_default="as many as processors"
)
_RATE = typer.Option(None, "--rate", min=0, help="How many calls a second each caller may make.", metavar="R")
_WAITING = typer.Option(None, "--most-waiting", min=1, help="How many runs may wait.", metavar="N")
_POOL = typer.Option(
    "local", "--pool", help="The work pool whose runs it takes; made if there is none.", metavar="NAME"
)
_TYPE = typer.Option("process", "--type", help="What a run is: process, docker or kubernetes.", metavar="TYPE")
_IMAGE = typer.Option(
    "", "--image", help="What containers and pods start from: an image with Stepwell.", metavar="IMAGE"
)
_MOST = typer.Option(None, "--limit", min=1, help="How many runs at once.", metavar="N", show_default="no limit")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(serve)
    app.command()(worker)


def serve(
    host: str = _HOST,
    port: int = _PORT,
    public_url: str = _PUBLIC,
    proxy: list[str] = _PROXY,
    no_token: bool = _OPEN,
    without_worker: bool = _WITHOUT,
    limit: int | None = _LIMIT,
    rate: float | None = _RATE,
    most_waiting: int | None = _WAITING,
) -> None:
    """Keep Prefect's server, a worker and the HTTP endpoint running until Ctrl-C."""
    from stepwell.deployments.serve import services

    usual = services.ServeOptions()
    services.serve(
        services.ServeOptions(
            host=host,
            port=port,
            public_url=public_url,
            proxies=tuple(proxy),
            token=not no_token,
            limit=0 if without_worker else limit or usual.limit,
            rate=rate,
            most_waiting=most_waiting,
        )
    )


def worker(pool: str = _POOL, type: str = _TYPE, image: str = _IMAGE, limit: int | None = _MOST) -> None:
    """Take the runs of a work pool on this machine until Ctrl-C."""
    from stepwell.deployments.serve.standalone_worker import WorkerOptions, work

    work(WorkerOptions(pool, type, image, limit or 0))
