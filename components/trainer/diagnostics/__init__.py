"""What a training shows of itself: how far back gradients reach, what W does to them, what state the units are in."""
