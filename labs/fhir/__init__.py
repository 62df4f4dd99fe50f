"""FHIR R4 resources of laboratories, read into the facts that HL7 v2 messages give."""
