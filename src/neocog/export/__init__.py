"""Trained models as ONNX and OpenVINO files that give the same answers, with decoding inside."""
