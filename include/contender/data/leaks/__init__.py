"""What would make a score too good to be true: columns that give the target away, and rows that are on both sides."""
