"""The application: which layers a request passes, and which routes there are.

observe (log, metrics) -> front (ready answers) -> limits (size, time, writing) -> routes
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp

from conditions.errors import StoreError
from conditions.server import observe, problems
from conditions.server.auth import token_check
from conditions.server.front import Front
from conditions.server.limits import Limits
from conditions.server.observe import Observed
from conditions.server.routes import belle2_iovs, belle2_payloads, belle2_tags, files, hsf
from conditions.server.routes.v1 import make_v1
from conditions.server.service import STREAMS, Service
from conditions.server.settings import ServerSettings
from conditions.store.session import Store, open_store


def make_app(settings: ServerSettings | None = None, store: Store | None = None) -> ASGIApp:
    """The whole server as one ASGI application.

    Args:
        settings: how it runs; None reads the environment.
        store: a store that is open already, as a worker process gets it.

    Raises:
        SchemaMismatch: the database is not up to date.
        BadInputError: a setting or the token key cannot be used.
    """
    settings = settings or ServerSettings.from_environment()
    tokens = token_check(settings)
    service = Service(settings, store or open_service_store(settings), tokens)
    app = Front(Limits(_routes(service), service), service)
    return Observed(app, service)


def open_service_store(settings: ServerSettings) -> Store:
    """The store that these settings name.

    Raises:
        StoreUnavailable: it cannot be reached, or nobody said where payload files are.
    """
    store = open_store(settings.store, settings.files, pool_size=settings.threads + STREAMS)
    try:
        store.check_place()
    except StoreError:
        store.close()
        raise
    return store


def _routes(service: Service) -> Starlette:
    """The application behind all layers."""
    belle2: list[BaseRoute] = [*belle2_tags.routes(service), *belle2_payloads.routes(service)]
    belle2 += belle2_iovs.routes(service)
    below_v2 = Router([*belle2, *hsf.routes(service)], redirect_slashes=False)
    routes: list[BaseRoute] = [Mount("/v2", app=below_v2), Mount("/v1", app=make_v1(service))]
    routes += [*observe.routes(service), *hsf.routes(service), *files.routes(service)]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False  # a redirect would lose the body of a POST, and is no JSON
    problems.install(app)
    return app
