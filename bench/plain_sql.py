"""The statements of the plain-SQL bound: the same rows as the endpoint, built by PostgreSQL."""

_RESULT = """
  o.id, o.report_id, o.version, o.origin, o.analyte_key, o.loinc, o.code, o.display_name,
  o.value_type, o.value_text, o.value_kind, o.value_low, o.value_high, o.comparator, o.unit_text,
  o.unit_ucum, o.range_text, o.range_low, o.range_high, o.flags, o.status, o.effective_at,
  o.effective_basis, o.issued_at, o.visible_from, o.lab_comment, o.method, o.performer, o.state,
  o.tier, o.rule_id, o.rule_version, o.basis, o.reason, o.range_used_low, o.range_used_high,
  o.position,
  (SELECT json_build_object('value', b.value_low, 'at', b.effective_at) FROM labs_observation b
   WHERE b.patient_id = o.patient_id AND b.analyte_key = o.analyte_key
     AND b.superseded_at IS NULL AND b.effective_at < o.effective_at
   ORDER BY b.effective_at DESC, b.id DESC LIMIT 1) AS previous
"""
_SHOWN = """
  o.patient_id = %(patient)s::uuid AND o.superseded_at IS NULL AND o.withdrawn_at IS NULL
  AND o.visible_from <= now() AND o.state NOT IN ('HELD', 'RETRACTED')
"""

_FREE = """
  FROM appointments_schedule s
  JOIN appointments_resource r ON r.id = s.resource_id
  JOIN appointments_location l ON l.id = s.location_id
  JOIN appointments_schedule_visit_types sv ON sv.schedule_id = s.id
  JOIN appointments_visittype v ON v.id = sv.visittype_id AND v.id = %(visit_type)s::uuid
  JOIN appointments_availability a ON a.schedule_id = s.id
  CROSS JOIN LATERAL generate_series({first}, {last}, interval '1 day') d
  CROSS JOIN LATERAL generate_series(
    (d::date + a.starts) AT TIME ZONE l.zone,
    (d::date + a.ends) AT TIME ZONE l.zone - v.duration_minutes * interval '1 minute',
    a.slot_step_minutes * interval '1 minute') t
  WHERE a.iso_weekday = extract(isodow FROM d) AND a.valid_from <= d::date
    AND (a.valid_until IS NULL OR a.valid_until >= d::date)
    AND NOT EXISTS (
      SELECT 1 FROM appointments_resourceclaim c
      WHERE c.resource_id = s.resource_id AND c.active
        AND c.during && tstzrange(t, t + v.duration_minutes * interval '1 minute'))
"""

STATEMENTS = {
    "ready": "SELECT 'true'",
    "results": f"""
SELECT json_build_object('items', json_agg(r))::text FROM (
  SELECT {_RESULT} FROM labs_observation o WHERE {_SHOWN}
  ORDER BY o.effective_at DESC, o.id DESC LIMIT %(limit)s::int) r
""",
    "report": f"""
SELECT json_build_object('report', to_json(d), 'results', (
  SELECT json_agg(r) FROM (
    SELECT {_RESULT} FROM labs_observation o WHERE {_SHOWN} AND o.report_id = d.id
    ORDER BY o.position, o.id) r))::text
FROM labs_diagnosticreport d
WHERE d.patient_id = %(patient)s::uuid AND d.id = %(report)s::uuid AND d.visible_from <= now()
""",
    "trend": f"""
SELECT json_build_object('points', json_agg(r))::text FROM (
  SELECT o.id, o.effective_at, o.loinc, o.value_text, o.value_low, o.value_high, o.comparator,
    o.unit_ucum, o.state, o.status, o.range_used_low, o.range_used_high
  FROM labs_observation o WHERE {_SHOWN} AND o.analyte_key = %(analyte)s
    AND o.effective_at >= now() - interval '5 years'
  ORDER BY o.effective_at, o.id) r
""",
    "openings": """
SELECT json_build_object('items', json_agg(r))::text FROM (
  SELECT s.id AS schedule, t AS starts_at, t + v.duration_minutes * interval '1 minute' AS ends_at,
    r.name AS practitioner, l.name AS location, l.zone
  FROM appointments_schedule s
  JOIN appointments_resource r ON r.id = s.resource_id
  JOIN appointments_location l ON l.id = s.location_id
  JOIN appointments_schedule_visit_types sv ON sv.schedule_id = s.id
  JOIN appointments_visittype v ON v.id = sv.visittype_id AND v.id = %(visit_type)s::uuid
  JOIN appointments_availability a ON a.schedule_id = s.id
    AND a.iso_weekday = extract(isodow FROM %(day)s::date)
    AND a.valid_from <= %(day)s::date
    AND (a.valid_until IS NULL OR a.valid_until >= %(day)s::date)
  CROSS JOIN LATERAL generate_series(
    (%(day)s::date + a.starts) AT TIME ZONE l.zone,
    (%(day)s::date + a.ends) AT TIME ZONE l.zone - v.duration_minutes * interval '1 minute',
    a.slot_step_minutes * interval '1 minute') t
  WHERE s.id = %(schedule)s::uuid AND NOT EXISTS (
    SELECT 1 FROM appointments_resourceclaim c
    WHERE c.resource_id = s.resource_id AND c.active
      AND c.during && tstzrange(t, t + v.duration_minutes * interval '1 minute'))
  ORDER BY t) r
""",
    "next-openings": f"""
SELECT json_build_object('items', json_agg(r))::text FROM (
  SELECT s.id AS schedule, t AS starts_at, t + v.duration_minutes * interval '1 minute' AS ends_at,
    r.name AS practitioner, l.name AS location, l.zone
  {_FREE.format(first="current_date", last="current_date + 14")} AND t >= now()
  ORDER BY t, s.id LIMIT %(limit)s::int) r
""",
    "month": f"""
SELECT json_build_object('items', json_agg(r))::text FROM (
  SELECT (t AT TIME ZONE l.zone)::date AS day, count(*) AS openings, min(t) AS first
  {_FREE.format(first="%(first)s::date", last="%(last)s::date")}
    AND s.id = %(schedule)s::uuid AND t >= now()
  GROUP BY 1 ORDER BY 1) r
""",
    "hold": """
WITH claimed AS (
  INSERT INTO appointments_resourceclaim
    (id, resource_id, lane, during, kind, active, expires_at, held_for, made_at)
  SELECT %(claim)s::uuid, %(resource)s::uuid, 0,
    tstzrange(%(starts)s::timestamptz, %(ends)s::timestamptz), 'hold', true,
    now() + interval '5 minutes', %(visit)s::uuid, now()
  ON CONFLICT DO NOTHING RETURNING held_for, during)
SELECT json_build_object('id', held_for, 'during', during)::text FROM claimed
""",
    "book": """
WITH claimed AS (
  INSERT INTO appointments_resourceclaim
    (id, resource_id, lane, during, kind, active, held_for, made_at)
  SELECT %(claim)s::uuid, %(resource)s::uuid, 0,
    tstzrange(%(starts)s::timestamptz, %(ends)s::timestamptz), 'booking', true,
    %(visit)s::uuid, now()
  ON CONFLICT DO NOTHING RETURNING held_for, during)
SELECT json_build_object('id', held_for, 'during', during)::text FROM claimed
""",
}
