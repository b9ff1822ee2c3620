"""How right answers are told from wrong ones: for each task a grader of ours and one that agrees with the field."""
