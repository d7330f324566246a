"""Where media files lie: a folder, or a bucket that speaks S3. Adapters of ``ports.media_store``."""
