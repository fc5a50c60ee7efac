"""Prompts as files beside the code that uses them, each with a version and a hash to log.

A prompt is `prompts/<name>.md` in a package: the first line is `version: N`, the rest is the text,
with placeholders in braces: `{question}`. Any other brace is text (a JSON example needs no escape).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from seedbed.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_FRONT = re.compile(r"version:\s*(\d+)\s*\n+")


@dataclass(frozen=True)
class Prompt:
    name: str
    version: int
    text: str

    @property
    def hash(self) -> str:
        """Twelve hex digits of the text's sha256: it changes even if the version was forgotten."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.text)))

    def render(self, **values: object) -> str:
        """Fill the placeholders; a value's own braces are left alone.

        Raises ConfigError unless `values` are exactly the placeholders.
        """
        missing = [name for name in self.placeholders if name not in values]
        unknown = [name for name in values if name not in self.placeholders]
        if missing or unknown:
            wrong = [f"no value for {name!r}" for name in missing]
            wrong += [f"no placeholder {name!r}" for name in unknown]
            there = ", ".join(self.placeholders) or "none"
            raise ConfigError(
                f"Prompt {self.name!r}: {'; '.join(wrong)}.", hint=f"Its placeholders: {there}."
            )
        return _PLACEHOLDER.sub(lambda match: str(values[match.group(1)]), self.text)


def load_prompt(package: str, name: str) -> Prompt:
    """Read `prompts/<name>.md` of an importable package; ConfigError names the prompts it has."""
    folder = resources.files(package) / "prompts"
    there = (
        sorted(f.name[:-3] for f in folder.iterdir() if f.name.endswith(".md"))
        if folder.is_dir()
        else []
    )
    if name not in there:
        raise ConfigError(
            f"Package {package!r} has no prompt {name!r}.",
            hint=f"Its prompts: {', '.join(there) or 'none'}.",
        )
    text = (folder / f"{name}.md").read_text(encoding="utf-8").replace("\r\n", "\n")
    front = _FRONT.match(text)
    if front is None:
        raise ConfigError(
            f"Prompt {name!r} of {package!r} opens with {text.splitlines()[:1]!r}.",
            hint="Its first line must be `version: N`.",
        )
    return Prompt(name, int(front.group(1)), text[front.end() :].strip())
