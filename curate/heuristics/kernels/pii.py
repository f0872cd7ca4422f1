"""Personal data in texts: e-mail addresses, public IP addresses, phone numbers, IBANs and card numbers.

What can be checked is checked: octets and private ranges, ISO 7064 mod 97-10 for IBANs with their countries' lengths,
Luhn for cards with their issuers' prefixes. Phone numbers have no checksum: a country code after `+`, or North
America's three groups with separators.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from curate.text.strings import Bytes, Offsets, read_only

EMAIL, IP, PHONE, IBAN, CARD, IPV6 = range(6)
_FIRST_ROOM: Final = 1024
_IBAN_LENGTHS: Final = (  # noqa: SIM905
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 "
    "FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
    "LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 "
    "SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20").split()


def _iban_table() -> np.ndarray:
    table = np.zeros(26 * 26, np.uint8)
    for entry in _IBAN_LENGTHS:
        table[(ord(entry[0]) - 65) * 26 + ord(entry[1]) - 65] = int(entry[2:])
    return table


IBAN_LENGTHS: Final = _iban_table()


@nb.njit(nogil=True, cache=True)
def _digit(byte):  # type: ignore[no-untyped-def]
    return 0x30 <= byte <= 0x39


@nb.njit(nogil=True, cache=True)
def _alnum(byte):  # type: ignore[no-untyped-def]
    return 0x30 <= byte <= 0x39 or 0x41 <= byte & 0xDF <= 0x5A


@nb.njit(nogil=True, cache=True)
def _email(data, start, end, at):  # type: ignore[no-untyped-def]
    """(first, last) of the address around the `@` at this offset, which may begin at start; (0, 0) for none."""
    a = at
    while a > start and (_alnum(data[a - 1]) or data[a - 1] in (0x2E, 0x5F, 0x25, 0x2B, 0x2D)):
        a -= 1
    while a < at and not _alnum(data[a]):
        a += 1
    b, dot, top = at + 1, -1, at + 1
    while b < end and (_alnum(data[b]) or data[b] in (0x2E, 0x2D)):
        if data[b] == 0x2E:
            if not _alnum(data[b - 1]):
                break
            if b + 1 < end and _alnum(data[b + 1]):
                dot = b
        b += 1
    while b > at + 1 and not _alnum(data[b - 1]):
        b -= 1
    if a == at or dot < 0 or dot > b:
        return 0, 0
    top = dot + 1
    n = 0
    while top + n < b and 0x41 <= data[top + n] & 0xDF <= 0x5A and data[top + n] >= 0x41:
        n += 1
    return (a, b) if n >= 2 and top + n == b and data[at - 1] != 0x2E else (0, 0)


@nb.njit(nogil=True, cache=True)
def _is_public(a, b, c):  # type: ignore[no-untyped-def]
    """Whether a.b.c.* is routed on the public internet (RFC 6890 and 5771)."""
    if a in (0, 10, 127) or a >= 224:
        return False
    if (a == 172 and 16 <= b <= 31) or (a == 192 and b == 168) or (a == 169 and b == 254):
        return False
    if (a == 100 and 64 <= b <= 127) or (a == 198 and b in (18, 19)):
        return False
    return not ((a == 192 and b == 0 and c in (0, 2)) or (a == 198 and b == 51 and c == 100)
                or (a == 203 and b == 0 and c == 113))


@nb.njit(nogil=True, cache=True)
def _ip(data, p, end):  # type: ignore[no-untyped-def]
    """End of the public IPv4 address at p; 0 for none."""
    octets = np.zeros(4, np.int64)
    for i in range(4):
        n = 0
        while p < end and n < 4 and _digit(data[p]):
            octets[i] = octets[i] * 10 + data[p] - 0x30
            p, n = p + 1, n + 1
        if n == 0 or n > 3 or octets[i] > 255 or (n > 1 and data[p - n] == 0x30):
            return 0
        if i < 3:
            if p >= end or data[p] != 0x2E:
                return 0
            p += 1
    if p + 1 < end and data[p] == 0x2E and _digit(data[p + 1]):
        return 0
    return p if _is_public(octets[0], octets[1], octets[2]) else 0


@nb.njit(nogil=True, cache=True)
def _hex(byte):  # type: ignore[no-untyped-def]
    return 0x30 <= byte <= 0x39 or 0x41 <= byte & 0xDF <= 0x46


@nb.njit(nogil=True, cache=True)
def _is_public_v6(groups):  # type: ignore[no-untyped-def]
    """Whether the address is one of the public internet: global unicast (RFC 4291) without 2001::/23 (RFC 6890) and
    what is for documentation (RFC 3849, RFC 9637), or a public IPv4 address mapped into IPv6."""
    a, b = groups[0], groups[1]
    if 0x2000 <= a <= 0x3FFF:
        return not ((a == 0x2001 and (b < 0x200 or b == 0xDB8)) or (a == 0x3FFF and b < 0x1000))
    for i in range(5):
        if groups[i]:
            return False
    return groups[5] == 0xFFFF and _is_public(groups[6] >> 8, groups[6] & 255, groups[7] >> 8)


@nb.njit(nogil=True, cache=True)
def _ipv4_tail(data, p, end, groups, n):  # type: ignore[no-untyped-def]
    """End of the dotted IPv4 address at p, put into groups n and n + 1; 0 for none."""
    for i in range(4):
        octet, digits = np.int64(0), 0
        while p < end and digits < 4 and _digit(data[p]):
            octet, p, digits = octet * 10 + data[p] - 0x30, p + 1, digits + 1
        if not 1 <= digits <= 3 or octet > 255 or (digits > 1 and data[p - digits] == 0x30):
            return 0
        groups[n + i // 2] = groups[n + i // 2] << 8 | octet if i % 2 else octet
        if i < 3:
            if p >= end or data[p] != 0x2E:
                return 0
            p += 1
    return p


@nb.njit(nogil=True, cache=True)
def _ipv6(data, p, end, groups):  # type: ignore[no-untyped-def]
    """End of the public IPv6 address at p (RFC 4291, 2.2); 0 for none. groups: room for its eight numbers."""
    n, gap = 0, -1
    if p + 1 < end and data[p] == 0x3A:
        if data[p + 1] != 0x3A:
            return 0
        gap, p = 0, p + 2
    while n < 8:
        start, value = p, np.int64(0)
        while p < end and p < start + 5 and _hex(data[p]):
            digit = np.int64(data[p]) - 0x30 if data[p] <= 0x39 else (np.int64(data[p]) & 0xDF) - 55
            value, p = value << 4 | digit, p + 1
        if p == start:
            break  # after `::`, or nothing at all
        if p > start + 4:
            return 0
        if p + 1 < end and data[p] == 0x2E and _digit(data[p + 1]) and n <= 6:
            p = _ipv4_tail(data, start, end, groups, n)
            if p == 0:
                return 0
            n += 2
            break
        groups[n] = value
        n += 1
        if p + 1 < end and data[p] == 0x3A and data[p + 1] == 0x3A and gap < 0:
            gap, p = n, p + 2
        elif n < 8 and p + 1 < end and data[p] == 0x3A and _hex(data[p + 1]):
            p += 1
        else:
            break
    if (n < 8 and gap < 0) or (n == 8 and gap >= 0) or (p < end and (_alnum(data[p]) or data[p] == 0x3A)):
        return 0
    if p + 1 < end and data[p] == 0x2E and _digit(data[p + 1]):
        return 0
    if gap >= 0:
        for k in range(n - 1, gap - 1, -1):
            groups[8 - n + k] = groups[k]
        groups[gap : 8 - n + gap] = 0
    return p if _is_public_v6(groups) else 0


@nb.njit(nogil=True, cache=True)
def _ipv6_around(data, start, end, colon, groups):  # type: ignore[no-untyped-def]
    """(first, last) of the public IPv6 address whose first colon is at this offset; (0, 0) for none."""
    a = colon
    while a > start and colon - a < 5 and _hex(data[a - 1]):
        a -= 1
    if colon - a > 4 or (a > start and (_alnum(data[a - 1]) or data[a - 1] in (0x3A, 0x2E))):
        return 0, 0
    b = _ipv6(data, a, end, groups)
    return (a, b) if b else (0, 0)


@nb.njit(nogil=True, cache=True)
def _iban(data, p, end, lengths):  # type: ignore[no-untyped-def]
    """End of the IBAN at p, perhaps in groups with single spaces; 0 for none."""
    if p + 4 > end or not (0x41 <= data[p] <= 0x5A and 0x41 <= data[p + 1] <= 0x5A):
        return 0
    length = np.int64(lengths[(np.int64(data[p]) - 65) * 26 + np.int64(data[p + 1]) - 65])
    if length == 0 or not (_digit(data[p + 2]) and _digit(data[p + 3])):
        return 0
    compact = np.empty(length, np.uint8)
    n = 0
    while n < length and p < end:
        byte = data[p]
        if byte == 0x20 and n and n % 4 == 0 and data[p - 1] != 0x20:
            p += 1
            continue
        if not (_digit(byte) or 0x41 <= byte <= 0x5A):
            return 0
        compact[n] = byte
        n, p = n + 1, p + 1
    if n < length or (p < end and _alnum(data[p])):
        return 0
    rest = 0
    for i in range(length):
        byte = compact[(i + 4) % length]
        rest = (rest * 10 + byte - 0x30 if byte <= 0x39 else rest * 100 + byte - 55) % 97
    return p if rest == 1 else 0


@nb.njit(nogil=True, cache=True)
def _issuer(prefix, n):  # type: ignore[no-untyped-def]
    """Whether some issuer has cards of n digits that begin with these four."""
    if n == 15:
        return prefix // 100 in (34, 37)
    if n == 14:
        return prefix // 100 in (30, 36, 38)
    if n in (13, 19):
        return prefix // 1000 == 4
    return n == 16 and (prefix // 1000 == 4 or 5100 <= prefix <= 5599 or 2221 <= prefix <= 2720 or prefix == 6011
                        or 6440 <= prefix <= 6599 or 3528 <= prefix <= 3589)


@nb.njit(nogil=True, cache=True)
def _card(data, p, end):  # type: ignore[no-untyped-def]
    """End of the card number at p, perhaps in groups with single spaces or hyphens; 0 for none."""
    digits = np.empty(20, np.int64)
    n, last, prefix = 0, p, 0
    while p < end and n < 20:
        if _digit(data[p]):
            digits[n] = data[p] - 0x30
            prefix = prefix * 10 + digits[n] if n < 4 else prefix
            n, p = n + 1, p + 1
            last = p
        elif data[p] in (0x20, 0x2D) and p == last and p + 1 < end and _digit(data[p + 1]):
            p += 1
        else:
            break
    if n > 19 or not _issuer(prefix, n) or (last < end and _alnum(data[last])):
        return 0
    total = 0
    for i in range(n):
        d = digits[n - 1 - i] * (2 if i % 2 else 1)
        total += d - 9 if d > 9 else d
    return last if total % 10 == 0 else 0


@nb.njit(nogil=True, cache=True)
def _international(data, p, end):  # type: ignore[no-untyped-def]
    """End of a phone number at the `+` at p: 8 to 15 digits, single separators between; 0 for none (ITU-T E.164)."""
    q, n, last, gap = p + 1, 0, p, 0
    while q < end and n < 16:
        if _digit(data[q]):
            if n == 0 and data[q] == 0x30:
                return 0
            n, q, gap = n + 1, q + 1, 0
            last = q
        elif data[q] in (0x20, 0x2D, 0x2E, 0x28, 0x29) and gap < 2 and n:
            q, gap = q + 1, gap + 1
        else:
            break
    return last if 8 <= n <= 15 and not (last < end and _alnum(data[last])) else 0


@nb.njit(nogil=True, cache=True)
def _digits_at(data, p, end, n):  # type: ignore[no-untyped-def]
    if p + n > end:
        return False
    for i in range(n):  # noqa: SIM110 (a kernel)
        if not _digit(data[p + i]):
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _american(data, p, end):  # type: ignore[no-untyped-def]
    """End of a North American number at p: (212) 555-0100, 212-555-0100, 212.555.0100, 1-212-555-0100; 0 for none."""
    if p + 2 < end and data[p] == 0x31 and data[p + 1] in (0x2D, 0x2E, 0x20):
        p += 2
    bracket = p < end and data[p] == 0x28
    p += bracket
    if not _digits_at(data, p, end, 3) or data[p] < 0x32:
        return 0
    p += 3
    if bracket:
        if p >= end or data[p] != 0x29:
            return 0
        p += 1
        p += p < end and data[p] in (0x20, 0x2D)
    else:
        if p >= end or data[p] not in (0x2D, 0x2E, 0x20):
            return 0
        p += 1
    mark = data[p - 1]
    if not _digits_at(data, p, end, 3) or data[p] < 0x32 or p + 3 >= end:
        return 0
    between = data[p + 3]
    if between not in (0x2D, 0x2E, 0x20) or (not bracket and between != mark) or (mark == 0x20 and not bracket):
        return 0
    p += 4
    if not _digits_at(data, p, end, 4) or (p + 4 < end and _alnum(data[p + 4])):
        return 0
    return p + 4


@nb.njit(nogil=True, cache=True)
def _at(data, p, end, before, lengths):  # type: ignore[no-untyped-def]
    """(end, kind) of personal data other than e-mail at p; (0, 0) for none. before: the byte in front."""
    byte = data[p]
    if byte == 0x2B:
        return _international(data, p, end), PHONE
    if 0x41 <= byte <= 0x5A:
        return (_iban(data, p, end, lengths), IBAN) if not _alnum(before) else (0, 0)
    if _digit(byte) and not (_alnum(before) or before == 0x2E):
        stop = _ip(data, p, end)
        if stop:
            return stop, IP
        stop = _card(data, p, end)
        if stop:
            return stop, CARD
    if (_digit(byte) or byte == 0x28) and not (_alnum(before) or before in (0x2D, 0x2E)):
        return _american(data, p, end), PHONE
    return 0, 0


@nb.njit(nogil=True, cache=True)
def _find(data, offsets, wanted, lengths):  # type: ignore[no-untyped-def]
    out, bounds, size = np.empty((3, _FIRST_ROOM), np.int64), np.zeros(len(offsets), np.int64), 0
    groups = np.zeros(9, np.int64)
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        p, free = start, start  # nothing found reaches beyond `free`
        while p < end:
            byte = data[p]
            a, b, kind = p, 0, 0
            if byte == 0x40:
                if wanted[EMAIL]:
                    a, b = _email(data, free, end, p)
            elif byte == 0x3A:
                if wanted[IPV6] and p + 1 < end:
                    a, b = _ipv6_around(data, free, end, p, groups)
                    kind = IPV6
            elif _digit(byte) or 0x41 <= byte <= 0x5A or byte in (0x2B, 0x28):
                b, kind = _at(data, p, end, data[p - 1] if p > start else 0, lengths)
            if b == 0 or not wanted[kind]:
                p += 1
                continue
            if size == out.shape[1]:
                grown = np.empty((3, 2 * size), np.int64)
                grown[:, :size] = out
                out = grown
            out[0, size], out[1, size], out[2, size] = a - start, b - start, kind
            size, p, free = size + 1, b, b
        bounds[d + 1] = size
    return out[:, :size], bounds


def find_pii(data: Bytes, offsets: Offsets, wanted: Any) -> tuple[Any, Any, Any, Any]:
    """(starts, ends, kinds, bounds) of personal data, bytes within each text, in order and apart; int64.

    wanted: bool [6], which kinds to look for. bounds: int64 [n + 1]."""
    out, bounds = _find(read_only(data), read_only(offsets), np.asarray(wanted, np.bool_), IBAN_LENGTHS)
    return out[0].copy(), out[1].copy(), out[2].copy(), bounds
