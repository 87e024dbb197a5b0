"""Make the company's own ngrok Connect URL the only way out for ngrok agents."""

__version__ = "0.1.0"
