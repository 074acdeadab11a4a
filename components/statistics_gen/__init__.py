"""StatisticsGen: what a corpus is made of, split by split, as numbers and as a page."""
