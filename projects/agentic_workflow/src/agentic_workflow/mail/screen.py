"""Screens a mail for spam and for attempts to instruct the model that may read it.

    screen(mail).injection     # "" or the reason, such as "asks to ignore the instructions"

Patterns only, in English, German, French and Spanish, on top of `seedbed.guardrails`. They reduce
risk: what the desk may do is up to the policy, which no mail can change.
"""

from __future__ import annotations

import re

from agentic_workflow.store.case import Mail, Screening
from seedbed.guardrails import screen_injection

# What a customer writes to an AI, but not about one; each with the reason for a person.
_INJECTIONS = tuple(
    (reason, re.compile(pattern, re.I | re.M))
    for reason, pattern in (
        (
            "addresses an AI",
            r"\bas an? (?:ai|llm|language model|autonomous|automated|helpful)\b.{0,40}\b(?:you|must|should"
            r"|will|agent)|\b(?:if|because|since) you(?: are|'re) an? (?:ai|llm|(?:language )?model|bot"
            r"|(?:ai |automated )?(?:assistant|agent))\b|\b(?:attention|note|message|instructions?|hey|dear)"
            r"\W{1,3}(?:to |for )?(?:the |any |all )?(?:ai|llm|language model|(?:ai |automated |virtual )"
            r"(?:assistant|agent|system)s?)\b|\b(?:ai|assistant|agent|model|bot)s? (?:reading|processing"
            r"|handling) this|\bals (?:eine? )?(?:ki|sprachmodell)\b.{0,40}\b(?:du|sie|musst|müssen|sollst)"
            r"|\b(?:wenn|falls|da) (?:du|sie) eine? (?:ki|sprachmodell|bot)\b|\ban die (?:ki|ai)\b"
            r"|\ben tant qu['’e ]{1,2}(?:agent |assistant |modèle )?(?:ia\b|d['’ ]ia|de langage|assistant"
            r"|agent)|\bsi (?:tu es|vous êtes) une? (?:ia|agent|assistant|modèle)\b|\b(?:à|pour) l['’]ia\b"
            r"|\bcomo (?:agente|asistente|modelo)? ?(?:de )?(?:ia|lenguaje)\b|\bcomo (?:agente|asistente)"
            r" (?:debes?|tienes)\b|\bsi eres una? (?:ia|agente|asistente|modelo)|\bpara la ia\b",
        ),
        (
            "imitates a system message",
            r"^[\W_]{0,8}(?-i:SYSTEM|ASSISTANT|DEVELOPER|ADMIN|SISTEMA|SYSTÈME)(?i:[ _-]?(?:prompt|message"
            r"|override|note|instructions?|update|command|notice))?\W{0,2}[:\]](?!\s*(?:windows|mac|android"
            r"|ios|linux|error|fehler|erreur))|^[\W_]{0,8}(?:system|assistant|sistema|système|systemnachricht"
            r"|systemanweisung)[\w ]{0,20}\W{0,2}[:\]]\s*(?:you |the (?:user|customer)|ignore|approve|refund"
            r"|grant|override|new|du |sie |erstatte|genehmig|ignorier|vous |tu |rembours|approuv|usted|debe"
            r"|reembols|aprueb)|\bsystem override\b|\bsystem.?prompt\b|\bprompt (?:système|del sistema)\b",
        ),
        (
            "asks to ignore the instructions",
            r"\b(?:ignore|disregard|forget|override|bypass) (?:\w+ ){0,4}(?:previous|prior|above|earlier"
            r"|all|your|system|any|safety|approval|refund) (?:\w+ ){0,2}(?:instructions?|rules|guidelines|prompts?"
            r"|polic(?:y|ies)|limits?|restrictions|checks?)\b|\b(?:ignorieren? (?!wir)|vergiss |vergessen sie"
            r" |missachten? |umgehen? )(?:sie )?(?:\w+ ){0,3}(?:alle[nrs]?|bisherig\w+|vorherig\w+|deine"
            r"|obig\w+|vorig\w+) (?:\w+ ){0,2}(?:anweisung|regel|vorgabe|richtlinie|instruktion|prompt"
            r"|beschränkung)|\b(?:ignore[zr]?|oublie[zr]?|contourne[zr]?|ne tenez pas compte d|ne tiens pas"
            r" compte d)\w* (?:\w+ ){0,3}(?:instructions|règles|consignes|directives)|\b(?:ignor[ae]d?|olvid[ae]d?"
            r"|omit[ae]|sáltate|ha[zg]a? caso omiso d)\w* (?:\w+ ){0,4}(?:instrucciones|reglas|normas|directrices"
            r"|políticas)\b",
        ),
        (
            "asks to skip the approval",
            r"\b(?:refund|approve|process|pay|issue|transfer|execute|send)\b[^.\n]{0,60}\bwithout (?:any |further"
            r" |human |manual |prior |asking )*(?:approval|review|verification|confirmation|a human|checks?)\b"
            r"|\b(?:mark|flag|classify|treat|label|set)\b[^.\n]{0,40}\b(?:as|to|=) \W?(?:pre-?)?(?:approved|not"
            r" spam|auto\w*)|\bneeds_approval\b|\b(?:skip|bypass) the (?:human |manual )?(?:approval|review)"
            r"|\bdo not (?:escalate|involve a human|ask (?:a |any )?human)|\b(?:call|use|invoke|run) the \w{0,20}"
            r" ?(?:tool|function|api)\b|\b(?:erstatte|überweise|genehmige|zahle)\b[^.\n]{0,60}\bohne (?:\w+ )?"
            r"(?:freigabe|genehmigung|prüfung)|\bals (?:genehmigt|freigegeben) markier|\b(?:rembourse|approuve"
            r"|valide|paie)[sz]?\b[^.\n]{0,60}\bsans (?:\w+ )?(?:validation|approbation|vérification)"
            r"|\b(?:reembols|aprueb|pag)\w+[^.\n]{0,60}\bsin (?:\w+ )?(?:aprobación|revisión|verificación)",
        ),
        (
            "asks for data of others",
            r"\b(?:send|show|list|give|export|forward)\b[^.\n]{0,30}\b(?:all|other|every) customers?\b[^.\n]{0,30}"
            r"(?:data|address|order|mail|detail|list)|\balle kundendaten|\bdonnées de (?:tous les |vos )clients"
            r"|\bdatos de (?:todos los|otros) clientes",
        ),
    )
)
# In text that no reader sees, a single imperative is enough.
_HIDDEN = re.compile(
    r"\b(?:you must|must|approve|ignore|instruct\w*|assistant|agent|ai|ki|ia|prompt|system|refund the"
    r"|genehmig\w*|erstatte|anweisung\w*|approuve\w*|remboursez?|aprueb\w*|reembols[ae])\b",
    re.I,
)
# (weight, pattern); a mail is spam from 3 on. None of these words is enough by itself.
_SPAM = tuple(
    (weight, reason, re.compile(pattern, re.I))
    for weight, reason, pattern in (
        (3, "marked by the mail server", r"marked as spam"),
        (2, "offers money", r"\b(?:lottery|jackpot|inheritance|beneficiary|next of kin|casino|lotterie|erbschaft"
         r"|gewinnspiel|loterie|héritage|lotería|herencia)\b|\bmillion (?:usd|dollars?|euros?)|\bpassive income"
         r"|\b(?:bitcoin|crypto|forex|krypto)\w*.{0,60}(?:profit|invest|rendite|gewinn|gana|gagne)"
         r"|\b(?:business|personal|instant) loans?\b|\bsofortkredit|\bprêt rapide|\bpréstamo rápido"),
        (2, "sells to the shop", r"\bseo\b|\bbacklinks?\b|\bgoogle ranking|\bfirst page of google|\bguest post"
         r"|\bweb ?design (?:services|offer)|\b(?:lead generation|email lists?|followers)\b|\btraffic to your"
         r"|\b(?:top|erste seite) bei google|\bréférencement\b|\bposicionamiento (?:web|seo)"),
        (2, "sells medicine or replicas", r"\b(?:viagra|cialis|replica watches|weight loss|abnehm\w+ wunder"
         r"|perte de poids|perder peso|porn|xxx|singles in your area)\b"),
        (1, "presses to act", r"\b(?:act now|limited (?:time )?offer|click (?:here|below)|risk.free|100 ?% free"
         r"|congratulations|winner|jetzt klicken|hier klicken|nur heute|gratuliere|herzlichen glückwunsch"
         r"|cliquez ici|offre limitée|félicitations|haga clic|oferta limitada|felicidades|ganador)\b"),
        (1, "addresses no one", r"\bdear (?:friend|winner|sir/madam|webmaster|business owner|beneficiary)\b"
         r"|\bhi (?:there )?webmaster|\bsehr geehrter (?:gewinner|website)|\bcher (?:ami|gagnant)"
         r"|\bestimado (?:amigo|ganador)"),
        (1, "mass mailing", r"\bunsubscribe\b|\bopt.?out\b|\babmelden\b.{0,30}newsletter|\bse désabonner"
         r"|\bdarse de baja"),
        (1, "suspicious links", r"(?:https?://\S+[\s\S]{0,2000}){3}|https?://(?:bit\.ly|tinyurl|t\.co|goo\.gl"
         r"|\d+\.\d+\.\d+)|https?://\S{1,80}\.(?:xyz|top|click|loan|win|buzz)\b"),
        (1, "shouting", r"!{3,}|\${3,}|(?-i:\b[A-Z]{4,}\b(?:\W+[A-Z]{4,}\b){3})"),
    )
)  # fmt: skip
_OWN_BUSINESS = re.compile(
    r"\b(?:my|our|meine?[rn]?|unsere?|ma|mon|mes|mi|mis) (?:\w+ )?(?:order|parcel|package|invoice|refund|account"
    r"|bestellung|paket|rechnung|konto|commande|colis|facture|compte|pedido|paquete|factura|cuenta)\b"
    r"|\border (?:no|number|#)|#\d{4}",
    re.I,
)


def screen(mail: Mail) -> Screening:
    """What speaks for spam and for injection, with the reasons."""
    injection = _find_injection(mail)
    text = f"{mail.subject}\n{mail.text}\n{' '.join(mail.warnings)}"
    signals = [(weight, reason) for weight, reason, pattern in _SPAM if pattern.search(text)]
    score = sum(weight for weight, _ in signals) - 2 * bool(_OWN_BUSINESS.search(text))
    reasons = [reason for _, reason in signals]
    return Screening(
        spam=score >= 3,
        injection=injection,
        reasons=tuple([injection] * bool(injection) + reasons),
    )


def _find_injection(mail: Mail) -> str:
    visible = "\n".join(
        (mail.subject, mail.text, re.sub(r"^[> ]+", "", mail.quoted, flags=re.M), mail.sender_name)
    )
    visible += "\n" + "\n".join(mail.attachments)
    hidden = "\n".join(w for w in mail.warnings if w.startswith("hidden text:"))
    # Line breaks of the mail must not split a phrase.
    flat = re.sub(r"[^\S\n]+|(?<=[^\n.:])\n(?=[^\n])", " ", visible)
    for text in (visible, flat, hidden):
        finding = screen_injection(text)
        if finding is not None:
            return finding.reason
        for reason, pattern in _INJECTIONS:
            if pattern.search(text):
                return reason
    if _HIDDEN.search(hidden.removeprefix("hidden text:")):
        return "instructs in hidden text"
    return ""
