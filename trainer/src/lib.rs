//! rtune-trainer.
