"""What nodes ask of the host: files, progress, previews, notices, memory."""
