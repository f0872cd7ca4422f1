"""Write what spaCy's blank English pipeline makes of lines of text: what tests hold `words: datatrove` to.

    python scripts/spacy_golden.py > tests/fixtures/spacy/english.txt

Needs an environment with `spacy>=3.8,<4`; the project itself does not depend on it. The lines are made here, of words
and marks put together at random from a fixed seed. A line of the file is a text, a tab and its number of sentences; in
the text, `¦` stands wherever one token ends and the next begins without white space between.
"""

# ruff: noqa: RUF001, SIM905 (marks and letters of many scripts are what this is about)

from __future__ import annotations

import random
from collections.abc import Iterator

import spacy

BOUNDARY = "¦"
WORDS = (
    "the a of harbour Harbour HARBOUR net nets boy's boys' John’s tide's it its don't can't won't cannot shan't "
    "they'll you've I'm i'm we'd she'd've who's Who's wouldn't've mustn't ain't gonna gotta lemme y'all o'clock "
    "ma'am 'cause let's c'mon goin' nothin' whats im ill hell well were dont cant theyre e.g. i.e. E.g. vs. Mr. "
    "Mrs. Dr. St. Jan. Calif. N.Y. U.S. U.S.A. U.K. a.m. p.m. Inc. Ph.D. co. Co. w/o and/or Wash. No. etc. "
    "well-known mother-in-law x-ray re-enter state-of-the-art naïve café Über straße привет Москва д.Я мир Ελλάδα "
    "ΑΘΗΝΑ 日本語 東京 한국어 العربية مرحبا हिन्दी ไทย ქართული ʻokina").split()
NUMBERS = (
    "3 42 1,000 3.14 10am 10:30 10-12 2+2 2*3 2^8 5km 5km² 10kg 30cm 6ft 90mph 4m/s 20kHz 3GB 7MB 350°F 20°C. $5 "
    "$5.99 £3 €20 5€ US$5 C$7 5US$ ¥100 50% 1/2 ½ 1st 2nd 0x1F 1990s '90s #1 5кг 7км². 12p.m. 1a.m. 5' 6\" +44 -7 "
    "−3 ±2 1e-5 v2.0 2.0.1").split()
ADDRESSES = (
    "http://example.org https://www.example.org/a-b?c=d&e=f#g www.example.co.uk example.com/a-b a.b.c "
    "ftp://user:word@host.org:21/path me@example.org first.last+tag@mail.example.com 10.0.0.1/a-b "
    "http://1.2.3.4/a-b localhost:80/x mailto:me@x.org file.txt C:\\dir\\a-b #tag @name a/b/c x=y a:b x.中国/a-b "
    "ftp:@a.bc/d-e http:// example. .example .com").split()
FACES = (
    ":) :-) :)) ;) :( :'( :D xD XD :P :/ =) (: <3 </3 ^_^ -_- o_O >.< ¯\\(ツ)/¯ (╯°□°）╯︵┻━┻ ಠ_ಠ 8) :3 🙂 👍 🥲 ☃ →"
).split()
NOTHING = [""] * 4
BEFORE = [*NOTHING, *"( \" “ ' ‘ [ « ¿ … ... -- — - * $ # (( \"' < + %".split()]
AFTER = [*NOTHING, *(". , ! ? ; : ) \" ” ' ’ ... … .. ?! .) .\" .” ), — - -- 's ’s 'S % * ] » । 。 !!! 's. n't / > + ° "
                     ".'").split()]
BETWEEN = "- — – -- --- ... . , / : = < > ~ ' _ @ & + … 's \" ( ) 🙂 *".split()
GAPS = [" "] * 12 + ["  ", "\u00a0", "\u3000", "   ", " \u2009"]
# Every character here, and a sample of the rest: what spaCy's classes of characters say of them.
DENSE = [(0x21, 0x7F), (0xA1, 0x180), (0x2BB, 0x2C8), (0x370, 0x400), (0x482, 0x492), (0x55A, 0x590), (0x5BE, 0x5F5),
         (0x606, 0x620), (0x660, 0x66E), (0x6D4, 0x6E0), (0x964, 0x972), (0x10FB, 0x10FD), (0x2010, 0x2028),
         (0x2030, 0x205F), (0x20A0, 0x20C0), (0x2100, 0x2150), (0x2190, 0x21A0), (0x27E6, 0x27F0), (0x3001, 0x3040),
         (0x30FB, 0x3100), (0xFE50, 0xFE6C), (0xFF01, 0xFF66), (0x1F600, 0x1F610)]
SPARSE = [(0x180, 0x3000, 13), (0x3040, 0xD7A4, 241), (0xF900, 0xFFF0, 29), (0x10000, 0x1F000, 127),
          (0x1F300, 0x1FAFF, 23), (0x20000, 0x2FA20, 4099)]


def characters() -> Iterator[str]:
    for first, end in DENSE:
        yield from map(chr, range(first, end))
    for first, end, step in SPARSE:
        yield from map(chr, range(first, end, step))


def lines() -> Iterator[str]:
    """Texts: single words with marks around them, lines of several, and words with any character in them."""
    chance = random.Random(38)
    vocabulary = [*WORDS, *WORDS, *NUMBERS, *ADDRESSES, *FACES]
    for word in dict.fromkeys(vocabulary):
        yield " ".join((word, word.capitalize(), word.upper(), f"({word})", f"{word}.", f"“{word},”", f"{word}'s",
                        f"{word}-{word}"))
    for _ in range(900):
        text = ""
        for _ in range(chance.randint(3, 12)):
            run = chance.choice(vocabulary)
            while chance.random() < 0.25:
                run += chance.choice(BETWEEN) + chance.choice(vocabulary)
            text += chance.choice(BEFORE) + run + chance.choice(AFTER) + chance.choice(GAPS)
        yield text.strip()
    group: list[str] = []
    for char in characters():
        if char.isspace() or char == BOUNDARY or not char.isprintable():
            continue
        group.append(f"ab{char}Ab {char}5{char} {char}A. b{char}. A{char}B")
        if len(group) == 4:
            yield " ".join(group)
            group.clear()


def main() -> None:
    """Print the file."""
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    for text in lines():
        document = pipeline(text)
        cut, at = "", 0
        for token in document:
            if token.is_space:
                continue
            between = text[at : token.idx]
            cut += (between or (BOUNDARY if at else "")) + token.text
            at = token.idx + len(token.text)
        print(f"{cut}\t{len(list(document.sents))}")


if __name__ == "__main__":
    main()
