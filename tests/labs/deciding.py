"""What tests of matching decisions share: a person in doubt, and why she is Anna."""

MARRIED = "PID|1||900001^^^MAINLAB^MR||TESTFRAU^ANNA||19700101|F"
WHY = "Her married name, said on the telephone."
