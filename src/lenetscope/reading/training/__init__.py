"""What the recipe ``reader`` is trained with: its images, augmentation and schedule."""
