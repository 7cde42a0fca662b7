"""What of docs/ the program writes itself: tables, numbers and pictures."""
