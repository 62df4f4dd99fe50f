"""`make proof`: the promises at full size, and the planted bugs that the tests must catch."""
