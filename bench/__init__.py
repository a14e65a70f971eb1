"""What `make bench` runs. Figures that an issue names appear as rows with that issue's goal, met or not."""
