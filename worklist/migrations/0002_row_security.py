"""Row security of the worklist."""

from django.db import migrations

from core.row_security import protect, protect_children

REACH = (
    "CASE WHEN patient_id IS NULL THEN can_work('worklist') OR can_work('intake') "
    "ELSE can_see(patient_id, 'worklist') END"
)


class Migration(migrations.Migration):
    dependencies = [("worklist", "0001_initial"), ("patients", "0002_row_security")]
    operations = [
        protect("worklist_workitem", using=REACH),
        protect_children("worklist_evidence", parent="worklist_workitem", key="item_id"),
        protect_children("worklist_escalation", parent="worklist_workitem", key="item_id"),
    ]
