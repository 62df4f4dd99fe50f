"""The words of the page behind a link in a message. They give nothing away."""

from typing import Final

WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Your date",
        "open": "This is about one of your dates. Will you come?",
        "confirmed": "Thank you. You said that you will come.",
        "moved": "This date has changed since the message was sent. Sign in to see what holds now.",
        "cancelled": "This date is cancelled.",
        "over": "There is nothing to answer here any more.",
        "unknown": "This link does not work, or no longer does. Sign in to see your dates.",
        "too_late": "This can no longer be cancelled here. Please call, or sign in for the number.",
        "not_sure": "Nothing was cancelled. Tick the box first if you want to cancel.",
        "come": "Yes, I will come",
        "cancel": "Cancel this date",
        "sure": "I want to cancel this date",
        "hidden": "Sign in to see when and where.",
        "sign_in": "Sign in",
        "move": "To choose another time, open the app or sign in.",
        "when": "When",
        "where": "Where",
        "what": "What",
    },
    "es": {
        "title": "Su fecha",
        "open": "Se trata de una de sus fechas. ¿Vendrá?",
        "confirmed": "Gracias. Ha dicho que vendrá.",
        "moved": "Esta fecha ha cambiado desde que se envió el mensaje. Inicie sesión para ver "
        "lo que vale ahora.",
        "cancelled": "Esta fecha está cancelada.",
        "over": "Aquí ya no hay nada que responder.",
        "unknown": "Este enlace no funciona o ya no funciona. Inicie sesión para ver sus fechas.",
        "too_late": "Ya no se puede cancelar aquí. Llame, o inicie sesión para ver el número.",
        "not_sure": "No se ha cancelado nada. Marque primero la casilla si quiere cancelar.",
        "come": "Sí, vendré",
        "cancel": "Cancelar esta fecha",
        "sure": "Quiero cancelar esta fecha",
        "hidden": "Inicie sesión para ver cuándo y dónde.",
        "sign_in": "Iniciar sesión",
        "move": "Para elegir otra hora, abra la aplicación o inicie sesión.",
        "when": "Cuándo",
        "where": "Dónde",
        "what": "Qué",
    },
}


def words(language: str) -> dict[str, str]:
    """Return the words of a language, in English where it has none."""
    return WORDS.get(language, WORDS["en"])
