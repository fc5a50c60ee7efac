"""Replies that need no passages: refusals and greetings, in the language of the question."""

from __future__ import annotations

import re

from rag_chatbot.read.language import language_of

REFUSALS = {
    "en": "I can't find this in these documents.",
    "de": "Das finde ich in diesen Dokumenten nicht.",
    "fr": "Je ne trouve pas cela dans ces documents.",
    "es": "No encuentro esto en estos documentos.",
    "it": "Non lo trovo in questi documenti.",
    "nl": "Ik kan dit niet vinden in deze documenten.",
    "pt": "Não encontro isto nestes documentos.",
    "zh": "在这些文档中找不到相关内容。",
}
# Greetings → their reply.
GREETINGS = {
    "hello|hi|hey": "Hello! Ask me about the documents.",
    "hallo|guten tag": "Hallo! Fragen Sie mich nach den Dokumenten.",
    "bonjour|salut": "Bonjour ! Interrogez-moi sur les documents.",
    "hola|buenos días": "¡Hola! Pregúnteme sobre los documentos.",
    "ciao|buongiorno": "Ciao! Mi faccia domande sui documenti.",
    "goedendag|goedemorgen": "Goedendag! Stel mij vragen over de documenten.",
    "olá|bom dia": "Olá! Faça-me perguntas sobre os documentos.",
    "你好|您好": "你好！请就这些文档提问。",
}


def refusal(question: str) -> str:
    """The sentence for a question that the documents don't answer."""
    return REFUSALS.get(language_of(question), REFUSALS["en"])


def greeting(question: str) -> str:
    """The reply to a greeting; "" for a question."""
    words = " ".join(re.findall(r"\w+", question.lower()))
    return next((reply for all_, reply in GREETINGS.items() if words in all_.split("|")), "")
