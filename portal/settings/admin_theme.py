"""How the staff site looks: a calm green, grouped by work."""

from typing import Any

_GREEN = {
    "50": "oklch(98% .013 165)",
    "100": "oklch(95% .031 165)",
    "200": "oklch(90% .058 165)",
    "300": "oklch(82% .085 165)",
    "400": "oklch(71% .1 166)",
    "500": "oklch(60% .1 167)",
    "600": "oklch(50% .089 168)",
    "700": "oklch(43% .077 169)",
    "800": "oklch(37% .064 170)",
    "900": "oklch(32% .053 171)",
    "950": "oklch(22% .037 172)",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Linden",
    "SITE_HEADER": "Linden",
    "SITE_SUBHEADER": "Staff",
    "SITE_URL": None,
    "SITE_SYMBOL": "nature",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "portal.navigation.icon"}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {"primary": _GREEN},
    "DASHBOARD_CALLBACK": "portal.dashboard.callback",
    "ACCOUNT": {"navigation": []},
    "SIDEBAR": {
        "show_search": False,
        "command_search": False,
        "show_all_applications": False,
        "navigation": "portal.navigation.sidebar",
    },
}
