"""The sentences that answer a check-in. No sentence promises that somebody is watching."""

PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "due": "This is on the staff's list. Somebody on duty is due to read it by {time}.",
        "nobody": "Nobody reads this before {time}. Call {phone_24h} now.",
        "nobody_known": "Nobody reads this here. Call {phone_24h} now.",
        "no_alert": (
            "Nobody watches these answers as they come in. "
            "Your care team can read them at your next visit."
        ),
        "call": "Call your care team: {phone_day}. Outside their hours: {phone_24h}.",
        "call_now": "Call your care team now: {phone_day}. Outside their hours: {phone_24h}.",
        "emergency": "Do not wait for a message here.",
        "follow": "If this gets worse, or you are worried, call. Do not wait for a message here.",
        "well": "If anything gets worse, or you are worried, call at any time.",
        "urgent": "You said that this cannot wait.",
        "declined": "You would rather not say",
        "none": "None of these",
        "unreviewed": "These questions and rules are not yet reviewed by a clinician.",
        "late": "You answered later than asked. Your answers were kept all the same.",
    },
    "es": {
        "due": "Está en la lista del personal. Alguien de turno debe leerlo antes de {time}.",
        "nobody": "Nadie lee esto antes de {time}. Llame ahora al {phone_24h}.",
        "nobody_known": "Nadie lee esto aquí. Llame ahora al {phone_24h}.",
        "no_alert": (
            "Nadie vigila estas respuestas cuando llegan. "
            "Su equipo puede leerlas en su próxima visita."
        ),
        "call": "Llame a su equipo: {phone_day}. Fuera de su horario: {phone_24h}.",
        "call_now": "Llame ahora a su equipo: {phone_day}. Fuera de su horario: {phone_24h}.",
        "emergency": "No espere un mensaje aquí.",
        "follow": "Si empeora o le preocupa, llame. No espere un mensaje aquí.",
        "well": "Si algo empeora o le preocupa, llame en cualquier momento.",
        "urgent": "Dijo que esto no puede esperar.",
        "declined": "Prefiere no decirlo",
        "none": "Nada de esto",
        "unreviewed": "Ningún clínico ha revisado todavía estas preguntas y reglas.",
        "late": "Contestó más tarde de lo pedido. Sus respuestas se guardaron igualmente.",
    },
}


def phrase(key: str, language: str, **values: str) -> str:
    """Return a sentence in `language`, in English where there is no such language."""
    return PHRASES.get(language, PHRASES["en"])[key].format(**values)
