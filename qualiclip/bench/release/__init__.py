"""What leaves a run: a release of its scores, a check of scores from outside, and a static site."""
