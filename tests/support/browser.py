"""A browser just able to go through Keycloak's pages: redirections, cookies by path, forms."""

import html
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

REDIRECTIONS = 15
FORM = re.compile(r"<form\b[^>]*>", re.IGNORECASE)
INPUT = re.compile(r"<input\b[^>]*>", re.IGNORECASE)
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


@dataclass(frozen=True)
class Page:
    """What the browser shows; `returned` holds the query once it was sent back to the client."""

    url: str
    status: int
    text: str
    returned: dict[str, str] | None = None

    @property
    def forms(self) -> dict[str, str]:
        """The address of each form, by its id."""
        found = (_attributes(form) for form in FORM.findall(self.text))
        return {form.get("id", ""): form["action"] for form in found if form.get("action")}

    def link(self, identifier: str) -> str:
        """Where the link with that id leads."""
        found = re.search(rf'<a\b[^>]*id="{re.escape(identifier)}"[^>]*>', self.text)
        assert found, f"no link {identifier} on {self.url}"
        return _attributes(found[0])["href"]

    def hidden(self, form: str) -> dict[str, str]:
        """The fields that a form fills in by itself."""
        body = next(each for each in self.text.split("<form")[1:] if f'id="{form}"' in each)
        inputs = (_attributes(each) for each in INPUT.findall(body.partition("</form>")[0]))
        return {
            each["name"]: each.get("value", "")
            for each in inputs
            if each.get("type") == "hidden" and "name" in each
        }


class Browser:
    """Follows redirections up to the one that leaves for `client_uri`."""

    def __init__(self, client_uri: str) -> None:
        self._client_uri = client_uri
        self._cookies: dict[tuple[str, str], str] = {}
        self._http = httpx.Client(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def open(self, url: str, params: dict[str, str] | None = None) -> Page:
        address = httpx.URL(url).copy_merge_params(params) if params else httpx.URL(url)
        return self._go("GET", str(address), None)

    def submit(self, page: Page, form: str, **fields: str) -> Page:
        assert form in page.forms, f"{page.url} ({page.status}) has the forms {page.forms}"
        address = urljoin(page.url, page.forms[form])
        return self._go("POST", address, page.hidden(form) | fields)

    def _go(self, method: str, url: str, form: dict[str, str] | None) -> Page:
        for _ in range(REDIRECTIONS):
            answer = self._http.request(method, url, data=form, headers=self._sent(url))
            self._keep(answer)
            if answer.status_code not in {302, 303}:
                return Page(url, answer.status_code, answer.text)
            url, method, form = urljoin(url, answer.headers["location"]), "GET", None
            if url.startswith(self._client_uri):
                parts = urlsplit(url)
                query = parse_qs(parts.query or parts.fragment)
                return Page(url, 302, "", {name: value for name, (value, *_) in query.items()})
        raise AssertionError(f"redirected for ever, last to {url}")

    def _sent(self, url: str) -> dict[str, str]:
        # Marked Secure: a browser sends them to a loopback address all the same, httpx does not.
        path = urlsplit(url).path
        here = [
            f"{name}={value}"
            for (under, name), value in self._cookies.items()
            if path.startswith(under)
        ]
        return {"Cookie": "; ".join(here)} if here else {}

    def _keep(self, answer: httpx.Response) -> None:
        for line in answer.headers.get_list("set-cookie"):
            pair, *rest = line.split(";")
            name, _, value = pair.strip().partition("=")
            options = {
                key.lower(): text for key, _, text in (each.strip().partition("=") for each in rest)
            }
            path = options.get("path", "/")
            if value and options.get("max-age") != "0":
                self._cookies[path, name] = value
            else:
                self._cookies.pop((path, name), None)


def _attributes(tag: str) -> dict[str, str]:
    return {name.lower(): html.unescape(value) for name, value in ATTRIBUTE.findall(tag)}
