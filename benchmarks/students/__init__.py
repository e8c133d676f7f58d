"""The benchmark of students: networks that a trained UNet 3+ teaches, in several shapes and times, against controls of the same
time, on patients that no choice has seen."""
