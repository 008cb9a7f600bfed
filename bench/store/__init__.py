"""What is kept on the disk, and the fingerprint by which it is found again."""
