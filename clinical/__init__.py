"""Clinical rules as plain Python: frozen values in, frozen values out.

No Django, no clock, no database. Laboratory numbers are `decimal.Decimal`.
Reference data with its sources lies in `clinical/data/`.
"""
