"""Codes of languages: what a model calls a language, and the one code that documents and recipes use for it.

lid.176 answers with ISO 639-1 codes (`en`), GlotLID, OpenLID and NLLB's model with ISO 639-3 and a script (`eng_Latn`).
A document bears the shorter code, so that word lists, stop words and language models by language fit every model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

_WITH_SCRIPT: Final = re.compile(r"([a-z]{3})_[A-Z][a-z]{3}")
_CODES: Final = (
    "aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis "
    "bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan de:deu "
    "dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry "
    "ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina "
    "id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz "
    "kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao "
    "lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde "
    "ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol "
    "ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag sh:hbs si:sin sk:slk "
    "sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir "
    "tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol "
    "wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul ")
"""ISO 639-1 and 639-3 of every language that has both."""
_MEMBERS: Final = (
    "ar:arb ay:ayr az:azj cr:crk et:ekk fa:pes ff:fuv gn:gug ik:esk kg:kng kr:knc ku:kmr lv:lvs mg:plt mn:khk ms:zsm "
    "ne:npi oj:ojb om:gaz or:ory ps:pbt qu:quy sc:sro sq:als sw:swh uz:uzn yi:ydd za:zyb zh:cmn ")
"""What models with scripts answer for a language of ISO 639-1 that is a group in ISO 639-3: its most spoken member."""
_SHORT: Final = {long: short for short, _, long in (pair.partition(":") for pair in _CODES.split())}
_MEMBER_OF: Final = {long: short for short, _, long in (pair.partition(":") for pair in _MEMBERS.split())}


def language_code(label: str) -> str:
    """The code by which documents and recipes name the language of a model's label.

    Only a script tells a group's member from a language of that code: lid.176's `als` is Alemannic, GlotLID's
    `als_Latn` Tosk Albanian, of the group `sq`.

    Args:
        label: Of any model, without `__label__`, such as `en` or `eng_Latn`.
    Returns:
        The ISO 639-1 code where there is one, else the label without its script.
    """
    scripted = _WITH_SCRIPT.fullmatch(label)
    if scripted is None:
        return _SHORT.get(label, label)
    code = scripted[1]
    return _SHORT.get(code) or _MEMBER_OF.get(code, code)


def wanted_labels(labels: Iterable[str], wanted: Collection[str]) -> list[str]:
    """Those labels that a recipe's `languages` mean: by the label itself, or by any code of the language."""
    codes = {language_code(name) for name in wanted if not _WITH_SCRIPT.fullmatch(name)}
    return [label for label in labels if label in wanted or language_code(label) in codes]
