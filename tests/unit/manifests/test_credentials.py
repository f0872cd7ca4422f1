from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.credentials import authorization, has_secrets, public, refuse_secrets, signed, without_query
from manifests.errors import RecipeError
from manifests.object_stores import filesystem

SECRET = "s3cr3t-W0rd"
URLS = [f"https://user:{SECRET}@host.example/a/*.warc.gz", f"https://{SECRET}@host.example/a", f"s3://key:{SECRET}@bucket/a",
        f"https://host.example/a?X-Amz-Signature={SECRET}&X-Amz-Date=1", f"http://host.example/a?sv=1&sig={SECRET}",
        f"https://host.example/a?Signature={SECRET}", f"https://host.example/a?access_token={SECRET}",
        f"ftp://user:{SECRET}@host.example/[a", f"https://host.example/a#access_token={SECRET}",
        f"https://host.example/a;jsessionid={SECRET}?x=1", f"https://host.example/a?x=1&amp;token={SECRET}",
        f"https://host.example/a?Policy=p&Key-Pair-Id={SECRET}", f"https://host.example/a?client_secret={SECRET}",
        f"https://host.example/a?hdnea=exp=1~hmac={SECRET}", f"https://host.example/a?a=1;sig={SECRET}",
        f"--endpoint=https://user:{SECRET}@host.example/a --more", f" https://user:{SECRET}@host.example/a"]
PLAIN = ["https://host.example/a?page=2&signal=x", "https://host.example/a?pageToken=x#design;v=2",
         "see https://host.example/a@b for more", "s3://bucket/a@b", "/data/a@b?sig=1", "user:pass@host", "a: b"]


@pytest.mark.parametrize("url", URLS)
def test_secrets_are_refused_without_being_repeated(url: str) -> None:
    assert has_secrets(url)
    assert SECRET not in public(url)
    with pytest.raises(RecipeError, match=r"sources\.web\.files\.0") as caught:
        refuse_secrets({"sources": {"web": {"files": [url]}}})
    assert SECRET not in str(caught.value)
    with pytest.raises(RecipeError) as caught:
        filesystem(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", PLAIN)
def test_what_has_none_is_left_alone(text: str) -> None:
    assert not has_secrets(text)
    assert public(text) == text
    refuse_secrets({"a": [text, {"b": text}], "c": 1, "d": None})


@given(st.text())
def test_no_text_ends_in_another_error(text: str) -> None:
    for made in (text, f"https://{text}", f"s3://{text}@x", f"https://h/?{text}"):
        assert has_secrets(made) or public(made) == made or urlsplit(public(made))


def test_users_come_from_netrc_and_signatures_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine host.example login user password pass:word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert authorization("https://host.example/a") == {"Authorization": "Basic dXNlcjpwYXNzOndvcmQ="}
    assert authorization("https://other.example/a") == {}
    monkeypatch.setenv("NETRC", str(tmp_path / "absent"))
    assert authorization("https://host.example/a") == {}
    (tmp_path / "netrc").write_text("no netrc at all")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert authorization("https://host.example/a") == {}
    full = f"https://host.example/a?sig={SECRET}"
    (tmp_path / "urls").write_text(f"\n{full}\n")
    assert signed("https://host.example/a") == "https://host.example/a"
    monkeypatch.setenv("CURATE_SIGNED_URLS", str(tmp_path / "urls"))
    assert signed("https://host.example/a") == full
    assert signed("https://host.example/b") == "https://host.example/b"
    assert SECRET not in without_query(f"Max retries exceeded with url: /a?sig={SECRET} (caused by x)", full)
