"""The pages that people read: the run's report and its data checks, each one self-contained HTML file."""
