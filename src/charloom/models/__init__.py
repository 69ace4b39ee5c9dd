"""Language models: the predictor protocol, the model, its construction, its folder and the fused training step."""
