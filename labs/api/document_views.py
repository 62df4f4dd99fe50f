"""The bytes of one document, handed out so that nothing runs them."""

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.api.negotiation import OneRenderer
from core.areas import Area
from core.attachments import make_harmless
from labs.api.renderers import FileRenderer
from labs.selectors import document_for
from patients.api.views import PatientView


class DocumentContentView(PatientView):
    """One document of a released report."""

    area = Area.LABS
    scopes = {"GET": Scope.LABS_READ}
    operation = "labs.documents.content"
    resource = "DocumentReference"
    renderer_classes = (FileRenderer,)
    content_negotiation_class = OneRenderer

    @extend_schema(
        operation_id="readDocumentContent",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, document_id: UUID) -> Response:
        """The file as it came. Save it or show it in a viewer of yours; never run it."""
        file = document_for(self.viewer, document_id=document_id, now=self.now)
        self.seen = [document_id]
        response = Response(bytes(file.content), content_type=file.media_type)
        make_harmless(response, media_type=file.media_type)
        return response
