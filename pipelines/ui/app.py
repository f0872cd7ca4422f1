"""What is behind each address of the server.

Pages are made one at a time, each from the files as they are then; a query of SQL, which has a process of its own,
beside them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from manifests.errors import CurateError
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from pipelines.asking.finding import Finder
from pipelines.asking.telling import fate
from pipelines.ui.document import archived, document_page
from pipelines.ui.documents import documents_page
from pipelines.ui.frame import document_link, framed, static
from pipelines.ui.overview import Report, overview_page
from pipelines.ui.rows import row_page
from pipelines.ui.sql import sql_page
from pipelines.ui.thresholds import thresholds_page

_FOUND: Final = 50
_DAMAGED: Final = "Is the run damaged? <code>curate verify</code> says which of its files are."
Page = Callable[[StageFiles, Request], str]


def application(storage: Storage) -> Starlette:
    """The pages of a run. Nothing here asks who may read them: `Guard` does."""
    report, making, asking = Report(), threading.Lock(), threading.Lock()

    def answered(make: Page, one_at_a_time: threading.Lock) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            with one_at_a_time:  # so that memory is that of one page
                try:
                    return _html(make(StageFiles(storage), request), 200)
                except CurateError as error:
                    return _html(framed("Not found", "", f"<p>{escape(str(error))}</p>"), 404)
                except Exception as error:  # whatever a damaged run does, it does to this page alone
                    said = escape(f"{type(error).__name__}: {error}"[:2000])
                    return _html(framed("Cannot be shown", "", f"<p>{said}</p><p>{_DAMAGED}</p>"), 500)
        return answer

    pages: dict[str, Page] = {
        "/": lambda files, _: overview_page(files), "/report": lambda files, _: report.page(files),
        "/documents": lambda files, request: documents_page(files, request.query_params),
        "/document/{doc_id}": lambda files, request: document_page(files, request.path_params["doc_id"]),
        "/document/{doc_id}/archived": lambda files, request: archived(files, request.path_params["doc_id"]),
        "/row": lambda files, request: row_page(files, request.query_params),
        "/thresholds": lambda files, request: thresholds_page(files, request.query_params),
        "/sql": lambda files, request: sql_page(files, request.query_params),
        "/find": lambda files, request: _find_page(files, request.query_params.get("q", ""))}
    return Starlette(routes=[Route("/static/{name}", _static, methods=["GET"]),
                             *(Route(path, answered(make, asking if path == "/sql" else making), methods=["GET"])
                               for path, make in pages.items())])


def _html(page: str, status: int) -> HTMLResponse:
    return HTMLResponse(page.encode("utf-8", "backslashreplace"), status)


def _static(request: Request) -> Response:
    found = static(request.path_params["name"])
    if found is None:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(found[0], media_type=found[1])


def _find_page(files: StageFiles, query: str) -> str:
    """Documents that a URL, a host, an id or a part of one means."""
    found = Finder(files).find(query.strip(), _FOUND)
    items = "".join(f'<li>{document_link(h.doc_id, h.url or h.doc_id)} <span class="soft">{escape(fate(h))}</span></li>'
                    for h in found.histories)
    more = "more than " if found.more else ""
    return framed(f"Documents of {query}", "/documents", f"<p>{more}{found.total:,} match.</p><ul>{items}</ul>")
