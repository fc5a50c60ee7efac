"""Splits the text of a mail into what the sender wrote now and the thread quoted below or above it.

    split_reply("Please refund it.\\n\\nOn 3 May 2024 at 10:11, Shop <a@b.de> wrote:\\n> Hello")
    # ("Please refund it.", "On 3 May 2024 at 10:11, …")

English, German, French and Spanish. Line by line: what is not certainly quoted counts as new,
because a request that is overlooked costs more than one that is read twice.
"""

from __future__ import annotations

import re

_ORIGINAL = re.compile(
    r"[>\s]*(?:[-_*]{2,}\s*(?:original message|urspr.ngliche (?:nachricht|mail)|message d'origine"
    r"|message original|mensaje original|forwarded message|weitergeleitete nachricht"
    r"|message transf.r.|mensaje reenviado)\s*[-_*]{2,}|begin forwarded message:"
    r"|anfang der weitergeleiteten nachricht:|début du message (?:transféré|réexpédié)\s?:"
    r"|inicio del mensaje reenviado:)\s*",
    re.I,
)
_WROTE = r"(?:wrote|writes|schrieb|a écrit|ha escrito|escribió)"
_ATTRIBUTION = re.compile(
    rf"(?:On|Am|Le|El)\b.{{4,300}}\b{_WROTE}\b.{{0,150}}:|.{{1,150}}[\d>]\s{_WROTE}\b.{{0,80}}:"
    r"|\d{4}-\d\d-\d\d.{0,80}<\S{1,100}@\S{1,100}>:",
    re.I | re.S,
)
_CERTAIN = re.compile(r"@|\d{1,2}[:h.]\d\d\b")  # an address or a time
_LABEL = re.compile(
    r"\*?(?:from|sent|to|date|subject|cc|von|gesendet|an|datum|betreff|de|envoyé|à|objet|enviado"
    r"|enviado el|para|asunto|fecha)\*?\s?:\*?\s",
    re.I,
)
_DEVICE = re.compile(
    r"(?:sent from (?:my|the)|get outlook for|von meinem \w+ gesendet|gesendet (?:von|mit) (?:mein|der)"
    r"|envoyé (?:de|depuis) mon|enviado desde mi)\b.{0,60}",
    re.I,
)
_CLOSING = re.compile(
    r"(?:(?:best|kind|warm|many)?\s?regards|best wishes|yours (?:sincerely|faithfully|truly)|sincerely"
    r"|cheers|mit (?:freundlichen|besten|lieben|herzlichen) gr.{1,2}(?:ß|ss)en?|(?:viele|liebe|beste|freundliche"
    r"|herzliche|sch.ne) gr.{1,2}(?:ß|ss)e|mfg|lg|cordialement|bien (?:cordialement|à vous)"
    r"|(?:meilleures )?salutations(?: distinguées)?|un (?:cordial )?saludo|(?:saludos|atentamente)"
    r"(?: cordiales)?)\b.{0,40}",
    re.I,
)
_WORTH_KEEPING = re.compile(r"\d{5}|^p\.?\s?s\b|order|bestell|commande|pedido|\?", re.I)


def split_reply(text: str) -> tuple[str, str]:
    """(new text without signature, quoted thread); either may be empty."""
    lines = text.split("\n")
    new: list[str] = []
    quoted: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        size = _attribution(lines, position)
        if _ORIGINAL.fullmatch(line) or _is_header_block(lines, position):
            quoted += lines[position:]
            break
        if size:
            following = next((x for x in lines[position + size :] if x.strip()), "")
            quoted += lines[position : position + size]
            position += size
            if not following.lstrip().startswith(">"):
                quoted += lines[position:]
                break
            continue
        (quoted if line.lstrip().startswith(">") else new).append(line)
        position += 1
    return _cut_signature(new), "\n".join(quoted).strip()


def _attribution(lines: list[str], position: int) -> int:
    """How many lines the attribution at `position` has, such as "On … wrote:"; 0 without one."""
    if not lines[position].strip():
        return 0
    for size in (1, 2, 3):
        block = lines[position : position + size]
        if not block[-1].strip("> "):
            break
        if not block[-1].rstrip().endswith(":"):
            continue
        joined = " ".join(re.sub(r"^[>\s]+", "", line) for line in block).strip()
        following = next((x for x in lines[position + size :] if x.strip()), "")
        if _ATTRIBUTION.fullmatch(joined) and (
            _CERTAIN.search(joined) or following.lstrip().startswith(">")
        ):
            return size
    return 0


def _is_header_block(lines: list[str], position: int) -> bool:
    """Whether Outlook's copy of the old headers starts here: three labels in four lines."""
    block = [line.strip(" >") for line in lines[position : position + 5]]
    return bool(_LABEL.match(block[0])) and sum(bool(_LABEL.match(line)) for line in block) >= 3


def _cut_signature(lines: list[str]) -> str:
    for number, line in enumerate(lines):
        rest = [x for x in lines[number + 1 :] if x.strip()]
        if line.rstrip() in ("--", "—") and len(rest) <= 12:
            lines = lines[:number]
            break
        # A closing formula ends the text, unless more than a name and an address follows.
        if (
            _CLOSING.fullmatch(line.strip())
            and len(rest) <= 8
            and max(map(len, rest), default=0) < 70
        ):
            lines = lines[:number] + [x for x in rest if _WORTH_KEEPING.search(x)]
            break
    kept = [line for line in lines if not _DEVICE.fullmatch(line.strip())]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(" _\n\t")
