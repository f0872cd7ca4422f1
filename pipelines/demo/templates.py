"""HTML of the demo's pages: five site templates with the navigation, banners, sidebars and footers real sites have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from pipelines.demo.chance import Chance
from pipelines.demo.pages import Kind, Page

Link = tuple[str, str]

_STYLE = ("<style>body{font:16px/1.5 serif;margin:0 auto;max-width:60em}nav a{margin:0 .5em}"
          ".hidden{display:none}</style>")
_SCRIPT = "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments);}</script>"
_COOKIES = ('<div id="cookie-banner" class="cookie-consent" role="dialog"><p>We use cookies to improve your visit. '
            '<a href="/cookies">Learn more</a></p><button>Accept all</button><button>Settings</button></div>')


def html(chance: Chance, page: Page, siblings: Sequence[Link]) -> str:
    """The whole HTML of a page. siblings: (url, title) of pages of the same host, for its navigation."""
    meta = f'<meta charset="{page.charset}">' if page.declared == "meta" else ""
    head = (f'<!DOCTYPE html>\n<html lang="{page.language}">\n<head>{meta}'
            f'<title>{escape(page.title)} - {page.host}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">{_STYLE}{_SCRIPT}</head>\n')
    template = _shop if page.kind is Kind.SPAM else chance.one("template", page.host, _TEMPLATES)
    return f"{head}<body>\n{template(page, siblings)}\n</body></html>\n"


def _paragraphs(page: Page) -> str:
    return "\n".join(f"<p>{escape(paragraph, quote=False)}</p>" for paragraph in page.paragraphs)


def _list(links: Sequence[Link]) -> str:
    return "<ul>" + "".join(f'<li><a href="{url}">{escape(title)}</a></li>' for url, title in links) + "</ul>"


def _footer(page: Page) -> str:
    return (f'<footer class="footer"><p>Copyright 2024 {page.host}. All rights reserved.</p>'
            '<nav><a href="/about">About</a> <a href="/terms">Terms of use</a> <a href="/privacy">Privacy policy</a> '
            '<a href="/contact">Contact</a></nav></footer>')


def _docs(page: Page, siblings: Sequence[Link]) -> str:
    return (f'<header class="header"><nav class="navbar"><a href="/">{page.host}</a> <a href="/docs">Docs</a> '
            f'<a href="/api">API</a> <a href="/download">Download</a></nav></header>\n'
            f'<div class="wrapper"><aside class="sidebar"><h3>Contents</h3>{_list(siblings)}</aside>\n'
            f'<main id="content" role="main"><h1>{escape(page.title)}</h1>\n{_paragraphs(page)}\n</main></div>\n'
            f'{_footer(page)}')


def _blog(page: Page, siblings: Sequence[Link]) -> str:
    return (f'{_COOKIES}<header id="masthead"><div class="site-title"><a href="/">{page.host}</a></div>'
            f'<nav class="menu"><a href="/">Home</a> <a href="/archive">Archive</a> <a href="/feed.xml">RSS</a></nav>'
            f'</header>\n'
            f'<main><article class="post"><h1 class="entry-title">{escape(page.title)}</h1>\n'
            f'<div class="entry-content">{_paragraphs(page)}</div></article></main>\n'
            f'<aside class="related-posts"><h3>You may also like</h3>{_list(siblings)}</aside>\n{_footer(page)}')


def _wiki(page: Page, siblings: Sequence[Link]) -> str:
    return (f'<div id="nav" class="navigation" role="navigation"><ul><li><a href="/">Main page</a></li>'
            f'<li><a href="/random">Random page</a></li><li><a href="/log-in">Log in</a></li></ul></div>\n'
            f'<div id="content"><h1>{escape(page.title)}</h1>\n<div id="main-content">{_paragraphs(page)}</div></div>\n'
            f'<div id="sidebar" class="sidebar">{_list(siblings)}</div>\n{_footer(page)}')


def _magazine(page: Page, siblings: Sequence[Link]) -> str:
    share = '<div class="social-share"><a href="#">Share</a> <a href="#">Tweet</a> <a href="#">Mail</a></div>'
    return (f'{_COOKIES}<nav class="topbar"><a href="/">News</a> <a href="/long">Long reads</a> '
            f'<a href="/shop">Shop</a></nav>\n'
            f'<section class="page"><article><h1>{escape(page.title)}</h1>{share}\n{_paragraphs(page)}\n</article>'
            f'<aside class="sidebar"><h2>Most read</h2>{_list(siblings)}</aside></section>\n'
            f'<div class="newsletter-signup"><form><input type="email" name="mail"><button>Subscribe</button></form>'
            f'</div>\n'
            f'{_footer(page)}')


def _shop(page: Page, siblings: Sequence[Link]) -> str:
    return (f'{_COOKIES}<nav><a href="/">Home</a> <a href="/cart">Cart (0)</a> <a href="/login">Sign in</a></nav>\n'
            f'<h1>{escape(page.title)}</h1>\n<div class="products">{_paragraphs(page)}</div>\n'
            f'<div class="partners">{_list(siblings)}</div>\n{_footer(page)}')


_TEMPLATES: tuple[Callable[[Page, Sequence[Link]], str], ...] = (_docs, _blog, _wiki, _magazine)
