"""Chat templates: Jinja in a sandbox, as tokenizers publish them, with marks around what is said.

A template may come from strangers, so it runs in Jinja's immutable sandbox, without files, clock or modules. What a
dialogue spells is kept apart from what the template writes: names of special tokens in it are exchanged for
characters that no text has (Unicode's noncharacters) before it is rendered, and come back as text.

`{% generation %}` ... `{% endgeneration %}` are the marks that `transformers` knows; our own templates also have
`{% turn NUMBER %}` around what others say.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from manifests.errors import AbsentError, InputError
from manifests.storage import is_local, open_read
from tokenizer.chat.messages import BadLineError, ChatReason, Message

NAMED: Final = {
    "chatml": "<|im_start|> and <|im_end|> around every turn",
    "qwen": "ChatML with Qwen2.5's system text where there is none",
    "qwen3": "ChatML with a thought before every answer",
    "llama3": "Llama 3's headers",
    "mistral": "Mistral's [INST]",
    "plain": "the texts as they are",
}
"""Templates by name, and what they look like."""

_WITH_TOOLS: Final = "tool_use"
_HELD, _HELD_END, _TURN, _GENERATION, _END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"
_MARKS: Final = re.compile(f"([{_HELD}{_TURN}]-?[0-9]+{_HELD_END}|[{_GENERATION}{_END}])")
_NONCHARACTERS: Final = "[\ufdd0-\ufdef]"


class _Marked(Extension):
    """The two block tags: their content between marks."""

    tags = {"generation", "turn"}  # noqa: RUF012 (Jinja's interface)

    def parse(self, parser: Any) -> nodes.Node:
        token = next(parser.stream)
        number = parser.parse_expression() if token.value == "turn" else nodes.Const(None)
        body = parser.parse_statements([f"name:end{token.value}"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark", [number]), [], [], body).set_lineno(token.lineno)

    def _mark(self, number: int | None, caller: Any) -> str:
        begin = _GENERATION if number is None else f"{_TURN}{number}{_HELD_END}"
        return f"{begin}{caller()}{_END}"


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None,
             separators: tuple[str, str] | None = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Marked, LoopControlExtension])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    return environment


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of a rendered dialogue, in UTF-8 bytes. message: number of the message that it is, None where it is
    marked as what a model generates."""

    start: int
    end: int
    message: int | None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A dialogue as a template writes it. parts: (text, whether it is a special token that the template wrote).
    has_held: whether the dialogue itself spells a special token's name."""

    parts: list[tuple[str, bool]]
    marks: list[Mark]
    has_held: bool

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


class ChatTemplate:
    """One template. special: names of the tokenizer's special tokens, which only the template can write; those in
    `strips` take the white space before, or behind them.

    Args:
        text: The template.
        where: Its name, for errors.
        special: Names of special tokens, and whether each strips white space on its left and on its right.
        variables: What the template may read beside messages and tools, such as bos_token.
    Raises:
        InputError: The text is not a template.
    """

    def __init__(self, text: str, where: str, special: Mapping[str, tuple[bool, bool]],
                 variables: Mapping[str, Any]) -> None:
        try:
            self._template = _environment().from_string(text)
        except TemplateError as error:
            raise InputError(f"is not a chat template: {error}", where=where) from error
        self.text, self.where, self._variables = text, where, dict(variables)
        self.marks_answers = bool(re.search(r"\{%-?\s*generation\s*-?%\}", text))
        names = sorted(special, key=len, reverse=True)
        self._held = re.compile("|".join([*map(re.escape, names), _NONCHARACTERS]))
        space = (r"", r"\s*")
        alternatives = [space[special[n][0]] + re.escape(n) + space[special[n][1]] for n in names]
        self._special = re.compile(f"({'|'.join(alternatives)})") if names else None

    def render(self, messages: Iterable[Message], tools: list[Any] | None = None,
               begin_answer: bool = False) -> Rendered:
        """A dialogue as the template writes it.

        Args:
            messages: As `tokenizer.chat.messages` gives them.
            tools: What the dialogue offers.
            begin_answer: Whether the beginning of an answer is written behind the last message.
        Raises:
            BadLineError: The template refuses the dialogue.
        """
        kept: list[str] = []

        def hold(match: re.Match[str]) -> str:
            kept.append(match[0])
            return f"{_HELD}{len(kept) - 1}{_HELD_END}"

        try:
            text = self._template.render(
                messages=_mapped(list(messages), self._held, hold), tools=_mapped(tools, self._held, hold),
                add_generation_prompt=begin_answer, **self._variables)
        except Exception as error:  # a template is a program: it may fail in any way on what it did not expect
            raise BadLineError(ChatReason.REFUSED_BY_TEMPLATE) from error
        return self._parts(text, kept)

    def _parts(self, text: str, kept: list[str]) -> Rendered:
        parts: list[tuple[str, bool]] = []
        marks: list[Mark] = []
        opened: list[tuple[int, int | None]] = []
        at = 0
        run = ""

        def end_run() -> None:
            nonlocal run
            if run:
                parts.append((run, False))
            run = ""

        for i, piece in enumerate(_MARKS.split(text)):
            if i % 2 == 0:
                for j, word in enumerate(self._special.split(piece) if self._special else [piece]):
                    at += len(word.encode())
                    if j % 2:
                        end_run()
                        parts.append((word, True))
                    else:
                        run += word
            elif piece[0] in (_TURN, _GENERATION):
                opened.append((at, int(piece[1:-1]) if piece[0] == _TURN else None))
            elif piece == _END:
                start, message = opened.pop()
                marks.append(Mark(start, at, message))
            else:
                word = kept[int(piece[1:-1])]
                at += len(word.encode())
                run += word
        end_run()
        return Rendered(parts, sorted(marks, key=lambda m: m.start), bool(kept))


def _mapped(value: Any, pattern: re.Pattern[str], replace: Any) -> Any:
    """A message, or anything of JSON, with `pattern` replaced in every string."""
    if isinstance(value, str):
        return pattern.sub(replace, value)
    if isinstance(value, list):
        return [_mapped(item, pattern, replace) for item in value]
    if isinstance(value, dict):
        return {_mapped(k, pattern, replace): _mapped(v, pattern, replace) for k, v in value.items()}
    return value


def portable(text: str) -> str:
    """One of our templates as other programs read it: without the marks around what others than the model say."""
    return re.sub(r"\{%-?\s*(end)?turn\b[^%]*%\}\n?", "", text)


class Chosen(NamedTuple):
    """A template's text; the one for dialogues that offer tools, where a configuration has one of its own for them; and
    what both may read: names of tokens."""

    text: str
    with_tools: str | None
    variables: dict[str, Any]


def choose_template(name: str, tokenizer: str) -> Chosen:
    """A template's text, and the names of tokens that a tokenizer's own configuration gives.

    Args:
        name: A name in NAMED; `tokenizer`, for the tokenizer's own; or a file: Jinja, or a tokenizer_config.json.
        tokenizer: The tokenizer's file or folder.
    Raises:
        InputError: There is no such template, or the file has none.
    """
    config = _config_beside(tokenizer)
    variables = {n: _content(config[n]) for n in ("bos_token", "eos_token", "unk_token", "pad_token") if config.get(n)}
    if name in NAMED:
        text = files(__package__).joinpath("templates", f"{name}.jinja").read_text("utf-8")
        return Chosen(text, None, variables)
    if name == "tokenizer":
        folder = tokenizer if os.path.isdir(tokenizer) else os.path.dirname(tokenizer)
        path = os.path.join(folder, "chat_template.jinja")
        if os.path.exists(path):
            beside = os.path.join(folder, "additional_chat_templates", f"{_WITH_TOOLS}.jinja")
            return Chosen(_read(path), _read(beside) if os.path.exists(beside) else None, variables)
        return Chosen(*_of_config(config, os.path.join(folder, "tokenizer_config.json")), variables)
    if is_local(name) and not os.path.exists(name):
        raise AbsentError("there is no such template", where=name, hint=(
            f"choose one of {', '.join(NAMED)}, `tokenizer` for the tokenizer's own, or a file"))
    text = _read(name)
    if not name.endswith(".json"):
        return Chosen(text, None, variables)
    config = _json(text, name)
    return Chosen(*_of_config(config, name), {**variables, **{
        n: _content(config[n]) for n in ("bos_token", "eos_token", "unk_token", "pad_token") if config.get(n)}})


def _config_beside(tokenizer: str) -> dict[str, Any]:
    folder = tokenizer if os.path.isdir(tokenizer) else os.path.dirname(tokenizer)
    path = os.path.join(folder, "tokenizer_config.json")
    return _json(_read(path), path) if is_local(tokenizer) and os.path.isfile(path) else {}


def _of_config(config: Mapping[str, Any], where: str) -> tuple[str, str | None]:
    """The template in a tokenizer_config.json: one, or several by name, of which `default` is taken, and `tool_use` for
    dialogues that offer tools, as `transformers` does."""
    template = config.get("chat_template")
    if isinstance(template, list):
        template = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
    by_name = template if isinstance(template, dict) else {"default": template}
    default, with_tools = by_name.get("default"), by_name.get(_WITH_TOOLS)
    if not isinstance(default, str) or not isinstance(with_tools, str | None):
        found = f", but has templates {', '.join(map(str, by_name))}" if isinstance(template, dict) and by_name else ""
        raise InputError(f"has no default chat template{found}", where=where,
                         hint=f"choose one of {', '.join(NAMED)}, or a file")
    return default, with_tools


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _read(path: str) -> str:
    try:
        with open_read(path) as stream:
            return str(stream.read(), "utf-8")
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", where=path) from error


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", where=where) from error
    return value if isinstance(value, dict) else {}
