"""Reading answers: what several tasks' graders share."""
