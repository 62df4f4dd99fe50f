"""Row security of the ledger: her own notices, staff's view of them, and the drain."""

from django.db import migrations

from core.row_security import protect

# A caregiver sees the notices sent to herself, not those sent to the patient.
REACH = (
    "can_see(patient_id, 'notifications') "
    "AND (app_kind() NOT IN ('patient', 'proxy') OR recipient_id = app_user())"
)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial"), ("patients", "0002_row_security")]
    operations = [protect("notifications_notification", using=REACH)]
