"""Laboratory results, writing side: intake, matching, judging, filing, release."""
