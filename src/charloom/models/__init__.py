"""Language models: the contract, the model, building one, its folder, and the fused step."""
