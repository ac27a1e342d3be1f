"""Decoupled-head YOLOv5 in PyTorch: pictures with exact labels, training, export to ONNX.

Runs under Debian's python3 with python3-torch, python3-pil and python3-numpy.
Knows nothing of TensorRT or Go: what it hands over is an ONNX file and labelled
pictures. Only compare and yolov5_patch.check run the trtdet command, on these.
"""
