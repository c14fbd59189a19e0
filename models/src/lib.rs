//! rtune-models.
