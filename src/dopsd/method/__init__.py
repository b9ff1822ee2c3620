"""One LightningModule a training method."""
