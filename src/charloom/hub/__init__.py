"""Upload of models to the Hugging Face Hub; ``charloom_codec.io.hub`` downloads them."""
