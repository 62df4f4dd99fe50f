"""The OAuth addresses that clients need, and no others: no open registration of clients."""

from django.urls import path
from oauth2_provider.views import RevokeTokenView, TokenView

from accounts.views import ConsentView, OwnTokenIntrospectionView

app_name = "oauth2_provider"
urlpatterns = [
    path("authorize/", ConsentView.as_view(), name="authorize"),
    path("token/", TokenView.as_view(), name="token"),
    path("revoke/", RevokeTokenView.as_view(), name="revoke-token"),
    path("introspect/", OwnTokenIntrospectionView.as_view(), name="introspect"),
]
