"""Pusher: a blessed model becomes the next version of those that are served; roll-back brings a former one back."""
