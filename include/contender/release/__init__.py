"""The release: the bundle that serves, its signature, its verification, and the champion's title."""
