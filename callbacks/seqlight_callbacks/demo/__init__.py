"""The main job from end to end: train on real DNA, watch the attributions move, write a report."""
