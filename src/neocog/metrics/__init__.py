"""Measurement: how good an answer is, by the definitions the field agreed on."""
