"""Bytes over HTTP: whatever the server does, those of the file, or an error that names it."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from curate.sources.http import AttemptError, HttpClient, RetryBudget
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import HttpFile, open_source
from manifests.errors import InputError
from tests.unit.curate.sources.crawl_server import Fault, Site, serve

FAST = HttpConfig(backoff_seconds=0.001, max_backoff_seconds=0.01, timeout_seconds=0.3, requests_per_second=1000,
                  attempts=4)
DATA = random.Random(1).randbytes(3_000_000)


def read_all(site: Site, config: HttpConfig = FAST, step: int = 1 << 20) -> bytes:
    with open_source(f"{site.url}/file", config) as stream:
        return b"".join(iter(lambda: stream.read(step), b""))


@pytest.mark.parametrize("faults", [
    [],
    [Fault(status=s, retry_after="0") for s in (503, 403, 429)],
    [Fault(status=500), Fault(status=502), Fault(status=504)],
    [Fault(cut=1_500_000, how="reset"), Fault(cut=1_000_001, how="reset")],
    [Fault(cut=0), Fault(cut=10), Fault(cut=2_999_980)],
    [Fault(cut=700_000, how="length"), Fault(cut=1_200_000, how="length")],
    [Fault(cut=900_000, how="stall"), Fault(cut=0, how="stall")],
    [Fault(pause=0.002)],
    [Fault(cut=1_000_000, how="reset"), Fault(version='"2"')],
], ids=["sound", "busy", "failing", "reset", "closed", "short length", "stalled", "slow", "other replica"])
@pytest.mark.parametrize("kind", ["ranges", "no ranges", "chunked"])
def test_a_failing_server_gives_the_bytes_of_a_healthy_one(faults: list[Fault], kind: str) -> None:
    if kind != "ranges" and any(f.how == "length" for f in faults):
        pytest.skip("a server without ranges that declares a shorter file has a shorter file")
    with serve({"file": DATA}) as site:
        site.ranges, site.chunked = kind == "ranges", kind == "chunked"
        site.faults["file"] = list(faults)
        assert read_all(site) == DATA
        assert not site.faults["file"]


def test_a_sound_server_is_asked_once_and_told_who_asks() -> None:
    with serve({"file": DATA}) as site:
        assert read_all(site, FAST.model_copy(update={"contact": "crawl@example.org"})) == DATA
        ((_, ranged, agent),) = site.requests
    assert ranged == "bytes=0-"
    assert agent.startswith("curate/")
    assert "crawl@example.org" in agent


def test_reading_goes_on_from_the_byte_where_it_broke() -> None:
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(cut=1_000_000), Fault(status=503), Fault(cut=500_000, how="reset")]
        assert read_all(site) == DATA
        starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in site.asked("file") if r]
    assert starts[:3] == [0, 1_000_000, 1_000_000]
    assert 1_000_000 < starts[3] <= 1_500_000  # a reset may take bytes with it that were on their way


def test_a_length_that_is_too_long_ends_where_the_file_does() -> None:
    with serve({"file": DATA}) as site:
        site.ranges = False
        # 200 with the whole length, broken off for good at 1,000,000: the file itself became shorter.
        site.faults["file"] = [Fault(cut=1_000_000), Fault(data=DATA[:1_000_000])]
        assert read_all(site) == DATA[:1_000_000]


def test_a_file_that_changes_is_not_mixed_with_the_old_one() -> None:
    other = DATA[:500_000] + b"x" + DATA[500_001:]
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(cut=1_000_000), Fault(version='"2"', data=other)]
        with pytest.raises(InputError, match="became another file") as caught:
            read_all(site)
        assert caught.value.where == f"{site.url}/file"
        assert read_all(site) == other


def test_a_change_after_the_break_is_taken_only_with_the_same_beginning() -> None:
    longer = DATA + b"more"
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(cut=1_000_000), Fault(version='"2"', data=longer)]
        assert read_all(site) == longer


def test_a_shrunken_file_is_named() -> None:
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(cut=1_000_000), Fault(data=DATA[:10])]
        with pytest.raises(InputError, match="became another file"):
            read_all(site)


@pytest.mark.parametrize(("fault", "what", "n_requests"), [
    (Fault(status=503), "503", 4), (Fault(status=404), "404", 1), (Fault(status=410), "410", 1),
    (Fault(cut=0, how="reset"), "breaks|Protocol|Connection", 4)])
def test_a_server_that_fails_for_good_is_given_up(fault: Fault, what: str, n_requests: int) -> None:
    with serve({"file": DATA}) as site:
        site.faults["file"] = [fault] * 100
        with pytest.raises(InputError, match=what) as caught:
            read_all(site)
        assert len(site.requests) == n_requests
        assert caught.value.where == f"{site.url}/file"


def test_progress_is_what_makes_failures_forgotten() -> None:
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(cut=1_100_000), Fault(cut=1_100_000), Fault()]
        assert read_all(site, FAST.model_copy(update={"attempts": 2})) == DATA
        site.faults["file"] = [Fault(cut=100_000)] * 5
        with pytest.raises(InputError, match="2 times in a row"):
            read_all(site, FAST.model_copy(update={"attempts": 2}))


def test_a_crawling_connection_is_given_up() -> None:
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(pause=0.05)]
        config = FAST.model_copy(update={"min_bytes_per_second": 50_000_000, "timeout_seconds": 0.1})
        assert read_all(site, config) == DATA
        assert len(site.requests) > 1


def test_nothing_listens() -> None:
    with serve({}) as site:
        pass
    with pytest.raises(InputError, match="4 times in a row"):
        read_all(site)


def test_an_empty_file_is_empty() -> None:
    with serve({"file": b""}) as site:
        assert read_all(site) == b""


def test_going_back_costs_nothing_nearby_and_a_request_far_away() -> None:
    data = random.Random(2).randbytes(40_000_000)
    with serve({"file": data}) as site:
        stream = HttpFile(HttpClient(FAST), f"{site.url}/file")
        assert stream.read(3_000_000) == data[:3_000_000]
        stream.seek(17)
        assert stream.read(4_000_000) == data[17:4_000_017]
        assert len(site.requests) == 1
        assert stream.read() == data[4_000_017:]
        stream.seek(5)
        assert stream.read(100) == data[5:105]
        assert site.requests[-1][1] == "bytes=5-"
        assert stream.seek(-3, 2) == len(data) - 3
        assert stream.read() == data[-3:]
        stream.close()


def test_ranges_are_fetched_to_the_byte() -> None:
    with serve({"file": DATA}) as site:
        site.faults["file"] = [Fault(status=503), Fault(cut=1000, how="reset"), Fault(cut=500, how="length")]
        client = HttpClient(FAST)
        assert client.fetch(f"{site.url}/file", 777, 100_000) == DATA[777:100_777]
        assert client.fetch(f"{site.url}/file", len(DATA) - 1, 1) == DATA[-1:]
        for start in (len(DATA) - 1, len(DATA)):
            with pytest.raises(InputError, match=r"fewer bytes|in a row"):
                client.fetch(f"{site.url}/file", start, 2)
        site.ranges = False
        with pytest.raises(InputError, match="gives no ranges"):
            client.fetch(f"{site.url}/file", 0, 2)
        client.close()


def test_requests_are_spaced() -> None:
    with serve({"file": DATA}) as site:
        client = HttpClient(FAST.model_copy(update={"requests_per_second": 50.0}))
        started = time.monotonic()
        for start in range(6):
            client.fetch(f"{site.url}/file", start, 1)
        assert time.monotonic() - started >= 5 / 50
        client.close()


def test_pauses_grow_are_shaken_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("curate.sources.http.time.sleep", pauses.append)
    budget = RetryBudget(HttpConfig(attempts=8, backoff_seconds=1, max_backoff_seconds=20), "u")
    for _ in range(6):
        budget.failed(AttemptError("busy"))
    budget.failed(AttemptError("busy", pause_seconds=1000))
    with pytest.raises(InputError):
        budget.failed(AttemptError("busy"))
    for pause, full in zip(pauses[:6], [1, 2, 4, 8, 16, 20], strict=True):
        assert full / 2 <= pause <= full
    assert pauses[6] == 20


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _self_signed(tmp_path)
    with serve({"file": DATA[:1000]}, certificate) as site:
        with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
            read_all(site)
        assert not site.requests
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert read_all(site) == DATA[:1000]


def test_a_redirect_is_followed_but_not_away_from_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serve({"file": DATA[:1000]}) as plain, serve({}, certificate) as secure:
        plain.faults["old"] = [Fault(status=302, location=f"{plain.url}/file")]
        with open_source(f"{plain.url}/old", FAST) as stream:
            assert stream.read(2000) == DATA[:1000]
        secure.faults["file"] = [Fault(status=302, location=f"{plain.url}/file")]
        with pytest.raises(InputError, match="away from TLS"):
            read_all(secure)


def _self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
                   .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
                   .sign(key, hashes.SHA256()))
    path = folder / "certificate.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption())
                     + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(("asked", "pause"), [
    ("7", 7.0),
    ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
    ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
    ("soon", 0.0),
])
def test_a_server_says_how_long_to_wait_in_seconds_or_by_its_own_clock(asked: str, pause: float) -> None:
    with serve({"file": DATA}) as site:
        site.date = "Wed, 21 Oct 2026 07:28:00 GMT"
        site.faults["file"] = [Fault(status=503, retry_after=asked)]
        client = HttpClient(FAST)
        with pytest.raises(AttemptError) as caught:
            client.request(f"{site.url}/file", None)
        client.close()
    assert caught.value.pause_seconds == pause
