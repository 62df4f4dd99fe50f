"""API addresses of this app, under /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from education.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("education/topics", views.TopicsView.as_view()),
    path("education/articles/<slug:slug>", views.ArticleView.as_view()),
    path("education/search", views.SearchView.as_view()),
    path("patients/<str:patient_ref>/education", views.FittingView.as_view()),
]
