"""What the teacher sees, where the student is supervised, and how the two are compared: plain torch."""
