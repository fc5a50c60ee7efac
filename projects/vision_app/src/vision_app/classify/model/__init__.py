"""Image models: EfficientNet-Lite0 on OpenVINO and in torch, its file, and models of the hub."""
