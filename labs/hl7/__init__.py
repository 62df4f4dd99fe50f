"""HL7 v2 intake in plain Python: frames, messages, results and answers. No Django, no clock."""
