"""Whether the hosts that a recipe names answer at all, asked all at once and within seconds: a name server that is gone
would keep each of them waiting for minutes, attempt after attempt."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from manifests.errors import InputError
from pipelines.recipe import Recipe

WITHIN_SECONDS: Final = 5.0
_S3_HOST: Final = "s3.amazonaws.com"
_PORTS: Final = {"http": 80, "https": 443}


def check_reachable(recipe: Recipe, within_seconds: float = WITHIN_SECONDS) -> None:
    """Raise InputError naming every host of the recipe's URLs to which no connection can be made.

    Args:
        recipe: What names them. Hosts that a proxy of the environment stands for are not asked.
        within_seconds: How long any of them may take.
    """
    problems: dict[str, str] = {}
    hosts = hosts_of(recipe)

    def ask(host: str, port: int) -> None:
        try:
            socket.create_connection((host, port), timeout=within_seconds).close()
            del problems[host]
        except OSError as error:
            problems[host] = error.strerror or str(error)

    # A name that is being resolved cannot be interrupted: threads that wait for one are left behind.
    problems |= dict.fromkeys(hosts, f"no answer within {within_seconds:g} seconds")
    threads = [threading.Thread(target=ask, args=host, daemon=True) for host in hosts.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within_seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if failed := dict(problems):
        raise InputError("cannot be reached: " + "; ".join(f"{host}: {why}" for host, why in sorted(failed.items())),
                         where=", ".join(sorted(failed)), hint="check the network and the addresses")


def hosts_of(recipe: Recipe) -> dict[str, int]:
    """Hosts of the URLs that a recipe reads from, with the port of each."""
    fields = recipe.model_dump(mode="json", by_alias=True, exclude={"http", "s3"})
    hosts: dict[str, int] = {}
    proxies = urllib.request.getproxies_environment()
    for url in _urls(fields):
        address = urlsplit(url)
        if address.scheme in ("s3", "s3a"):
            address = urlsplit(recipe.s3.endpoint_url or f"https://{_S3_HOST}")
        if address.scheme in _PORTS and address.hostname and address.scheme not in proxies:
            hosts[address.hostname] = address.port or _PORTS[address.scheme]
    return hosts


def hasty(recipe: Recipe) -> Recipe:
    """The recipe with one attempt for every request, as a check of it wants."""
    once = {"attempts": 1, "timeout_seconds": WITHIN_SECONDS}
    return recipe.model_copy(update={"http": recipe.http.model_copy(update=once),
                                     "s3": recipe.s3.model_copy(update=once)})


def _urls(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "://" in value:
            yield value
        return
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _urls(inner)
