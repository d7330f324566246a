"""Verification code that people paste into their own programs. Pure: it reads no request and writes no answer."""
