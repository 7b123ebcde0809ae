"""Making detectors: labelled data, training, ONNX export, calibration, measurement. The one place that knows torch."""
